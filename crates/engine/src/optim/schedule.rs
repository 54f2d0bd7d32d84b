//! `schedule = { kind = "cosine", ... }`: the factor on every learning rate as training goes on.

use std::f64::consts::PI;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How learning rates change over training.
///
/// The factor of step s (from 0), of S steps in all, with P steps per epoch, is `warm(s) * f(s)`:
///
/// ```text
/// warm(s)        min(1, (s + 1) / warmup_steps);  1 without warm-up
/// constant       f = 1
/// cosine         f = m + (1 - m) (1 + cos(pi p)) / 2,  m = min_factor,
///                p = (s - warmup_steps) / (S' - warmup_steps) clamped to [0, 1],  S' = steps, or S
/// step           f = gamma ^ floor(n / every)
/// exponential    f = gamma ^ (n / every)
///                n = s where unit = "step", s / P where unit = "epoch"
/// ```
///
/// So a warm-up shortens the cosine and lies over the first stretch of the others, whose milestones stay at the
/// epochs that were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// Always the configured learning rate, after the warm-up.
    Constant(ConstantConfig),
    /// Half a cosine from 1 down to `min_factor`.
    Cosine(CosineConfig),
    /// Multiplied by `gamma` at every milestone.
    Step(StepConfig),
    /// Multiplied by `gamma` smoothly.
    Exponential(ExponentialConfig),
}

impl Default for Schedule {
    fn default() -> Self {
        Self::Constant(ConstantConfig::default())
    }
}

/// What a schedule counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Training steps (batches).
    Step,
    /// Passes over the training rows.
    #[default]
    Epoch,
}

/// A constant learning rate.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConstantConfig {
    /// Steps over which the factor rises linearly to 1; 0 for none.
    pub warmup_steps: u64,
}

/// Half a cosine.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CosineConfig {
    /// Steps over which the factor rises linearly to 1; 0 for none.
    pub warmup_steps: u64,
    /// Step at which `min_factor` is reached, warm-up included; left out: the end of training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Where the cosine ends, in [0, 1].
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_factor: f64,
}

/// A staircase.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepConfig {
    /// Steps over which the factor rises linearly to 1; 0 for none.
    #[serde(default)]
    pub warmup_steps: u64,
    /// Length of a stair, in `unit`.
    #[schemars(range(min = 1))]
    pub every: u64,
    /// What the factor is multiplied by at each stair.
    pub gamma: f64,
    /// What `every` counts.
    #[serde(default)]
    pub unit: Unit,
}

/// Geometric decay.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExponentialConfig {
    /// Steps over which the factor rises linearly to 1; 0 for none.
    #[serde(default)]
    pub warmup_steps: u64,
    /// Number of `unit` over which the factor is multiplied by `gamma`.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub every: u64,
    /// What the factor is multiplied by over `every`.
    pub gamma: f64,
    /// What `every` counts.
    #[serde(default)]
    pub unit: Unit,
}

fn one() -> u64 {
    1
}

impl Schedule {
    /// Steps of linear warm-up.
    #[must_use]
    pub fn warmup_steps(&self) -> u64 {
        match self {
            Self::Constant(c) => c.warmup_steps,
            Self::Cosine(c) => c.warmup_steps,
            Self::Step(c) => c.warmup_steps,
            Self::Exponential(c) => c.warmup_steps,
        }
    }

    /// Factor on every learning rate at step `step`, counted from 0, of `total_steps`; formulas stand at
    /// [`Schedule`]. It depends on its arguments alone, so that a resumed run goes on where it stopped.
    #[must_use]
    pub fn factor(&self, step: u64, steps_per_epoch: u64, total_steps: u64) -> f64 {
        let warmup = self.warmup_steps();
        let warm = if step < warmup { (step + 1) as f64 / warmup as f64 } else { 1.0 };
        let per_unit = |unit| if unit == Unit::Epoch { steps_per_epoch.max(1) } else { 1 };
        warm * match self {
            Self::Constant(_) => 1.0,
            Self::Cosine(c) => {
                let length = c.steps.unwrap_or(total_steps).saturating_sub(warmup);
                let after = step.saturating_sub(warmup);
                let progress = if after < length { after as f64 / length as f64 } else { 1.0 };
                // A warm-up that fills the whole training leaves nothing to descend over.
                let progress = if step < warmup { 0.0 } else { progress };
                c.min_factor + (1.0 - c.min_factor) * 0.5 * (1.0 + (PI * progress).cos())
            }
            Self::Step(c) => {
                let stair = per_unit(c.unit).saturating_mul(c.every.max(1));
                c.gamma.powf((step / stair) as f64)
            }
            Self::Exponential(c) => {
                let stretch = per_unit(c.unit) as f64 * c.every.max(1) as f64;
                c.gamma.powf(step as f64 / stretch)
            }
        }
    }

    /// Refuses constants that no training could use.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] names the key, its value and what is expected.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::Constant(_) => Ok(()),
            Self::Cosine(c) => {
                if !(0.0..=1.0).contains(&c.min_factor) {
                    return Err(Error::option("min_factor", c.min_factor, "a number from 0 to 1"));
                }
                match c.steps {
                    Some(steps) if steps <= c.warmup_steps => {
                        Err(Error::option("steps", steps, "a number above `warmup_steps`"))
                    }
                    _ => Ok(()),
                }
            }
            Self::Step(StepConfig { every, gamma, .. }) | Self::Exponential(ExponentialConfig { every, gamma, .. }) => {
                if *every == 0 {
                    return Err(Error::option("every", every, "a whole number of 1 or above"));
                }
                if !(*gamma > 0.0 && *gamma <= 1.0) {
                    return Err(Error::option("gamma", gamma, "a number above 0 and up to 1"));
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn parse(json: &str) -> Schedule {
        let schedule: Schedule = serde_json::from_str(json).unwrap();
        schedule.validate().unwrap();
        schedule
    }

    fn factors(json: &str, steps: &[u64]) -> Vec<f64> {
        steps.iter().map(|&s| parse(json).factor(s, 10, 100)).collect()
    }

    fn close(found: &[f64], wanted: &[f64]) {
        assert_eq!(found.len(), wanted.len());
        for (f, w) in found.iter().zip(wanted) {
            assert!((f - w).abs() < 1e-12, "{found:?}, not {wanted:?}");
        }
    }

    #[test]
    fn constant_is_one() {
        close(&factors(r#"{"kind": "constant"}"#, &[0, 50, 1000]), &[1.0; 3]);
        assert_eq!(Schedule::default(), parse(r#"{"kind": "constant"}"#));
    }

    #[test]
    fn warm_up_rises_linearly_and_ends_at_one() {
        let json = r#"{"kind": "constant", "warmup_steps": 4}"#;
        close(&factors(json, &[0, 1, 2, 3, 4, 99]), &[0.25, 0.5, 0.75, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn cosine_falls_from_one_to_its_minimum() {
        let json = r#"{"kind": "cosine", "min_factor": 0.2}"#;
        close(&factors(json, &[0, 50, 100, 500]), &[1.0, 0.6, 0.2, 0.2]);
        let json = r#"{"kind": "cosine", "steps": 40}"#;
        close(&factors(json, &[0, 20, 40, 99]), &[1.0, 0.5, 0.0, 0.0]);
    }

    #[test]
    fn cosine_starts_after_the_warm_up() {
        let json = r#"{"kind": "cosine", "warmup_steps": 20}"#;
        close(&factors(json, &[9, 19, 20, 60, 100]), &[0.5, 1.0, 1.0, 0.5, 0.0]);
        let json = r#"{"kind": "cosine", "warmup_steps": 200}"#;
        close(&factors(json, &[99, 199, 200]), &[0.5, 1.0, 0.0]);
    }

    #[test]
    fn stairs_are_counted_in_epochs_or_steps() {
        let json = r#"{"kind": "step", "every": 2, "gamma": 0.5}"#;
        close(&factors(json, &[0, 19, 20, 39, 40]), &[1.0, 1.0, 0.5, 0.5, 0.25]);
        let json = r#"{"kind": "step", "every": 2, "gamma": 0.5, "unit": "step", "warmup_steps": 2}"#;
        close(&factors(json, &[0, 1, 2, 3, 4]), &[0.5, 1.0, 0.5, 0.5, 0.25]);
    }

    #[test]
    fn exponential_is_smooth() {
        let json = r#"{"kind": "exponential", "gamma": 0.25}"#;
        close(&factors(json, &[0, 5, 10]), &[1.0, 0.5, 0.25]);
        let json = r#"{"kind": "exponential", "gamma": 0.25, "every": 4, "unit": "step"}"#;
        close(&factors(json, &[0, 2, 4]), &[1.0, 0.5, 0.25]);
    }

    #[test]
    fn extreme_counts_do_not_panic() {
        for json in [
            r#"{"kind": "constant", "warmup_steps": 18446744073709551615}"#,
            r#"{"kind": "cosine", "warmup_steps": 18446744073709551614, "steps": 18446744073709551615}"#,
            r#"{"kind": "step", "every": 18446744073709551615, "gamma": 0.5}"#,
            r#"{"kind": "exponential", "every": 18446744073709551615, "gamma": 0.5}"#,
        ] {
            for (step, per_epoch, total) in [(0, 0, 0), (u64::MAX - 1, u64::MAX, u64::MAX), (5, 0, 1)] {
                let factor = parse(json).factor(step, per_epoch, total);
                assert!((0.0..=1.0).contains(&factor), "{json}: {factor}");
            }
        }
    }

    #[test]
    fn useless_constants_are_refused_with_key_and_value() {
        for (json, key) in [
            (r#"{"kind": "cosine", "min_factor": 1.5}"#, "`min_factor` = 1.5"),
            (r#"{"kind": "cosine", "steps": 10, "warmup_steps": 10}"#, "`steps` = 10"),
            (r#"{"kind": "step", "every": 0, "gamma": 0.5}"#, "`every` = 0"),
            (r#"{"kind": "step", "every": 1, "gamma": 0.0}"#, "`gamma` = 0.0"),
            (r#"{"kind": "exponential", "gamma": -0.5}"#, "`gamma` = -0.5"),
        ] {
            let schedule: Schedule = serde_json::from_str(json).unwrap();
            let message = schedule.validate().unwrap_err().to_string();
            assert!(message.contains(key), "{json}: {message}");
        }
        let unknown =
            serde_json::from_str::<Schedule>(r#"{"kind": "cosine", "min_facter": 1}"#).unwrap_err().to_string();
        assert!(unknown.contains("`min_facter`") && unknown.contains("`min_factor`"), "{unknown}");
    }
}
