# The numbers of glmnet in docs/coming_from/glmnet.md.
#     Rscript docs/coming_from/glmnet.R        (R 4.2.2, glmnet 4.1-6)
suppressPackageStartupMessages(library(glmnet))

fit <- function(...) glmnet(..., standardize = FALSE, thresh = 1e-16, maxit = 1e7)
show <- function(title, fit) {
  cat("\n", title, "\n", sep = "")
  found <- coef(fit)
  print(round(as.matrix(if (is.list(found)) do.call(cbind, found) else found), 5))
}

x <- as.matrix(iris[, 1:4])
petals <- x[, 3:4]
sepals <- x[, 1:2]
show("mgaussian", fit(sepals, petals, family = "mgaussian", lambda = 0.5))
show("mgaussian, standardize = TRUE", glmnet(sepals, petals, family = "mgaussian", lambda = 0.5, thresh = 1e-16))
show("mgaussian, alpha = 0.5", fit(sepals, petals, family = "mgaussian", alpha = 0.5, lambda = 0.5))
show("gaussian, alpha = 0.5", fit(sepals, petals[, 1], alpha = 0.5, lambda = 0.5))
virginica <- iris$Species == "virginica"
show("binomial", fit(x, virginica, family = "binomial", lambda = 0.02))
show("binomial, default thresh", glmnet(x, virginica, family = "binomial", lambda = 0.02, standardize = FALSE))
show("grouped", fit(x, iris$Species, family = "multinomial", type.multinomial = "grouped", lambda = 0.05))
