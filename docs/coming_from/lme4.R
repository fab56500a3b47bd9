# The numbers of lme4 and nlme in docs/coming_from/lme4.md and statsmodels.md, docs/mixed_models.md
# and docs/nested.md.
#     Rscript docs/coming_from/lme4.R          (R 4.2.2, lme4 1.1-31, nlme 3.1-162)
suppressPackageStartupMessages({library(lme4); library(nlme)})

d <- read.csv("skmtl/datasets/data/radon.csv")
tight <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-10))
show <- function(title, fit) {
  cat("\n", title, "\n", sep = "")
  print(VarCorr(fit), digits = 5)
  print(round(coef(summary(fit)), 5))
  cat("REMLcrit", format(REMLcrit(fit), digits = 10), "\n")
}

soil <- lmer(log_radon ~ floor + log_uranium + (1 | county), d, control = tight)
show("lmer, random intercepts", soil)
new <- data.frame(county = c("AITKIN", "a new one"), floor = 1, log_uranium = 0)
cat("predict", round(predict(soil, new, allow.new.levels = TRUE), 5), "\n")
print(VarCorr(lme(log_radon ~ floor + log_uranium, random = ~ 1 | county, d)))

show("lmer, floor + (1 | county)", lmer(log_radon ~ floor + (1 | county), d, control = tight))
print(summary(lme(log_radon ~ floor, random = ~ 1 | county, d))$tTable[, 1:2], digits = 5)
slopes <- lmer(log_radon ~ floor + (floor | county), d, control = tight)
show("lmer, floor + (floor | county)", slopes)
cat("correlation", round(attr(VarCorr(slopes)$county, "correlation")[1, 2], 5), "\n")
show("lmer, floor + (floor || county)", lmer(log_radon ~ floor + (floor || county), d, control = tight))

# Rows that are means of n houses: weights are precisions.
m <- aggregate(log_radon ~ county + floor, d, mean)
m$n <- aggregate(log_radon ~ county + floor, d, length)$log_radon
show("lmer, weights", lmer(log_radon ~ floor + (1 | county), m, weights = n, control = tight))
print(VarCorr(lme(log_radon ~ floor, random = ~ 1 | county, m, weights = varFixed(~ I(1 / n)))))

# Two columns of labels: assays of casks of batches of paste. Pastes is in lme4.
paste <- lmer(strength ~ 1 + (1 | batch/cask), Pastes, control = tight)
show("lmer, batch/cask", paste)
print(VarCorr(paste), comp = "Variance", digits = 5)

d$high <- d$log_radon > log(4)
logistic <- glmer(high ~ floor + (1 | county), d, family = binomial, nAGQ = 0)
cat("\nglmer, nAGQ = 0\n")
cat("standard deviation", format(sqrt(VarCorr(logistic)$county[1]), digits = 8), "\n")
cat("fixef", round(fixef(logistic), 5), "\n")
cat("ranef", round(ranef(logistic)$county[1:3, 1], 5), "\n")
