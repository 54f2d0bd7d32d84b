//! [`StepRule`]: every constant of one optimizer step, and the one pass that applies it.

use std::array;

use pulp::Arch;

use super::OptimizerConfig;

/// The largest number of state values that an optimizer keeps per weight.
pub const MAX_SLOTS: usize = 2;

/// An optimizer at one step: all constants resolved, ready to move any slice of weights.
///
/// With weight w, its gradient g, learning rate eta (schedule included), weight decay lambda and step number t from
/// 1, every rule starts with
///
/// ```text
/// g' = scale g + lambda w    (L2),            or
/// g' = scale g,   w <- w (1 - eta lambda)     (decoupled)
/// ```
///
/// and goes on as PyTorch's optimizer of the same name:
///
/// | kind | state | update |
/// | --- | --- | --- |
/// | sgd | | `w <- w - eta g'` |
/// | sgd, momentum mu | b | `b <- mu b + g'`; `w <- w - eta b`, with Nesterov `w <- w - eta (g' + mu b)` |
/// | adam, adamw | m, v | `m <- b1 m + (1 - b1) g'`; `v <- b2 v + (1 - b2) g'^2`; `w <- w - eta / (1 - b1^t) * m / (sqrt(v / (1 - b2^t)) + eps)` |
/// | adagrad | s | `s <- s + g'^2`; `w <- w - eta g' / (sqrt(s) + eps)` |
///
/// Adam's epsilon is added after bias correction, for dense parameters and for table rows alike. Constants are
/// computed in f64 and applied in f32 by plain multiplications and additions, none fused, so that every processor
/// gives the same bits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepRule {
    update: Update,
    decay: Decay,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Update {
    Sgd(Sgd),
    Momentum(Momentum),
    Adam(Adam),
    Adagrad(Adagrad),
}

/// Both forms of weight decay at once; the one that is not wanted has no effect.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Decay {
    /// lambda of L2, or 0.
    l2: f32,
    /// `1 - eta lambda` of the decoupled form, or 1.
    keep: f32,
}

impl StepRule {
    /// The rule of step `step`, counted from 1, with every learning rate multiplied by `factor`.
    ///
    /// A step of 0 is taken for 1: bias correction knows no step before the first.
    #[must_use]
    pub fn new(config: &OptimizerConfig, step: u64, factor: f64) -> Self {
        let eta = config.learning_rate() * factor;
        let (weight_decay, decoupled) = match config {
            OptimizerConfig::Sgd(c) => (c.weight_decay, c.decoupled),
            OptimizerConfig::Adam(c) => (c.weight_decay, c.decoupled),
            OptimizerConfig::AdamW(c) => (c.weight_decay, true),
            OptimizerConfig::Adagrad(c) => (c.weight_decay, c.decoupled),
        };
        let decay = if decoupled {
            Decay { l2: 0.0, keep: (1.0 - eta * weight_decay) as f32 }
        } else {
            Decay { l2: weight_decay as f32, keep: 1.0 }
        };
        let update = match config {
            OptimizerConfig::Sgd(c) if c.momentum == 0.0 => Update::Sgd(Sgd { eta: eta as f32 }),
            OptimizerConfig::Sgd(c) => {
                // w - eta (g' + mu b) and w - eta b are one formula with other constants.
                let (of_gradient, of_momentum) = if c.nesterov { (eta, eta * c.momentum) } else { (0.0, eta) };
                Update::Momentum(Momentum {
                    momentum: c.momentum as f32,
                    of_gradient: of_gradient as f32,
                    of_momentum: of_momentum as f32,
                })
            }
            OptimizerConfig::Adam(c) => Update::Adam(Adam::new(eta, c.betas, c.epsilon, step)),
            OptimizerConfig::AdamW(c) => Update::Adam(Adam::new(eta, c.betas, c.epsilon, step)),
            OptimizerConfig::Adagrad(c) => Update::Adagrad(Adagrad { eta: eta as f32, epsilon: c.epsilon as f32 }),
        };
        Self { update, decay }
    }

    /// Number of state values per weight; that of the configuration.
    #[must_use]
    pub fn slots(&self) -> usize {
        match self.update {
            Update::Sgd(_) => 0,
            Update::Momentum(_) | Update::Adagrad(_) => 1,
            Update::Adam(_) => 2,
        }
    }

    /// Moves `weights` against `gradient`, which is multiplied by `scale` first (1, or what clips its norm).
    ///
    /// `state` holds [`StepRule::slots`] slices of the same length in the order of the table above; the rest are not
    /// looked at. Each element is updated by itself, so any cut of a parameter gives the same bits.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn update(&self, weights: &mut [f32], gradient: &[f32], state: [&mut [f32]; MAX_SLOTS], scale: f32) {
        Arch::new().dispatch(
            #[inline(always)]
            || self.update_inline(weights, gradient, state, scale),
        );
    }

    /// [`StepRule::update`] for a caller that has chosen the instruction set already.
    #[inline(always)]
    pub(crate) fn update_inline(
        &self,
        weights: &mut [f32],
        gradient: &[f32],
        state: [&mut [f32]; MAX_SLOTS],
        scale: f32,
    ) {
        let [first, second] = state;
        match self.update {
            Update::Sgd(rule) => run(rule, self.decay, scale, weights, gradient, []),
            Update::Momentum(rule) => run(rule, self.decay, scale, weights, gradient, [first]),
            Update::Adam(rule) => run(rule, self.decay, scale, weights, gradient, [first, second]),
            Update::Adagrad(rule) => run(rule, self.decay, scale, weights, gradient, [first]),
        }
    }
}

/// The formula of one element with `S` state values: gives the amount to take from the weight, moves the state.
trait Formula<const S: usize>: Copy {
    fn step(self, gradient: f32, state: &mut [f32; S]) -> f32;
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Sgd {
    eta: f32,
}

impl Formula<0> for Sgd {
    #[inline(always)]
    fn step(self, gradient: f32, _: &mut [f32; 0]) -> f32 {
        self.eta * gradient
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Momentum {
    momentum: f32,
    of_gradient: f32,
    of_momentum: f32,
}

impl Formula<1> for Momentum {
    #[inline(always)]
    fn step(self, gradient: f32, [buffer]: &mut [f32; 1]) -> f32 {
        *buffer = flush(self.momentum * *buffer + gradient);
        self.of_gradient * gradient + self.of_momentum * *buffer
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Adam {
    beta1: f32,
    beta2: f32,
    rest1: f32,
    rest2: f32,
    /// `eta / (1 - b1^t)`.
    eta: f32,
    /// `sqrt(1 - b2^t)`, by which `sqrt(v)` is divided.
    correction: f32,
    epsilon: f32,
}

impl Adam {
    fn new(eta: f64, [beta1, beta2]: [f64; 2], epsilon: f64, step: u64) -> Self {
        let t = step.max(1) as f64;
        Self {
            beta1: beta1 as f32,
            beta2: beta2 as f32,
            rest1: (1.0 - beta1) as f32,
            rest2: (1.0 - beta2) as f32,
            eta: (eta / (1.0 - beta1.powf(t))) as f32,
            correction: (1.0 - beta2.powf(t)).sqrt() as f32,
            epsilon: epsilon as f32,
        }
    }
}

impl Formula<2> for Adam {
    #[inline(always)]
    fn step(self, gradient: f32, [mean, square]: &mut [f32; 2]) -> f32 {
        *mean = flush(self.beta1 * *mean + self.rest1 * gradient);
        *square = flush(self.beta2 * *square + self.rest2 * (gradient * gradient));
        self.eta * (*mean / (square.sqrt() / self.correction + self.epsilon))
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Adagrad {
    eta: f32,
    epsilon: f32,
}

impl Formula<1> for Adagrad {
    #[inline(always)]
    fn step(self, gradient: f32, [sum]: &mut [f32; 1]) -> f32 {
        *sum += gradient * gradient;
        self.eta * (gradient / (sum.sqrt() + self.epsilon))
    }
}

/// Zero for a number below the smallest normal one.
///
/// A running mean whose gradient has become zero decays geometrically and would stay subnormal for ever (rounding
/// keeps `0.9 * 4` units at 4), and arithmetic on subnormal numbers takes many times as long on some processors.
#[inline(always)]
fn flush(x: f32) -> f32 {
    if x.abs() < f32::MIN_POSITIVE { 0.0 } else { x }
}

/// Applies a formula to every element. Blocks of a fixed length need no run-time trip count, so that a table row of
/// 16 is as few instructions as a row of a large matrix is per 16.
#[inline(always)]
fn run<const S: usize, F: Formula<S>>(
    formula: F,
    decay: Decay,
    scale: f32,
    weights: &mut [f32],
    gradient: &[f32],
    state: [&mut [f32]; S],
) {
    assert_eq!(weights.len(), gradient.len(), "a gradient per weight");
    for slot in &state {
        assert_eq!(slot.len(), gradient.len(), "a state value per weight");
    }
    let (weights, gradient, state) = blocks::<16, S, F>(formula, decay, scale, weights, gradient, state);
    let (weights, gradient, state) = blocks::<4, S, F>(formula, decay, scale, weights, gradient, state);
    blocks::<1, S, F>(formula, decay, scale, weights, gradient, state);
}

/// What [`blocks`] leaves over: fewer than `N` weights, with their gradients and states.
type Rest<'a, const S: usize> = (&'a mut [f32], &'a [f32], [&'a mut [f32]; S]);

#[inline(always)]
fn blocks<'a, const N: usize, const S: usize, F: Formula<S>>(
    formula: F,
    decay: Decay,
    scale: f32,
    weights: &'a mut [f32],
    gradient: &'a [f32],
    state: [&'a mut [f32]; S],
) -> Rest<'a, S> {
    let (weights, weights_rest) = weights.as_chunks_mut::<N>();
    let (gradient, gradient_rest) = gradient.as_chunks::<N>();
    let mut state_rest: [&mut [f32]; S] = array::from_fn(|_| Default::default());
    let mut left = state_rest.iter_mut();
    let state = state.map(|slot| {
        let (slot, rest) = slot.as_chunks_mut::<N>();
        if let Some(left) = left.next() {
            *left = rest;
        }
        slot
    });
    for (block, (weights, gradient)) in weights.iter_mut().zip(gradient).enumerate() {
        // Loaded whole, computed, stored whole: no store can stand between loads, whatever the slices' aliasing.
        let mut values: [[f32; N]; S] = array::from_fn(|slot| state[slot][block]);
        let mut moved = *weights;
        for i in 0..N {
            let mut own: [f32; S] = array::from_fn(|slot| values[slot][i]);
            let step = formula.step(gradient[i] * scale + decay.l2 * moved[i], &mut own);
            moved[i] = moved[i] * decay.keep - step;
            for slot in 0..S {
                values[slot][i] = own[slot];
            }
        }
        *weights = moved;
        for slot in 0..S {
            state[slot][block] = values[slot];
        }
    }
    (weights_rest, gradient_rest, state_rest)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::{AdagradConfig, AdamConfig, AdamWConfig, SgdConfig};
    use super::*;

    fn configs() -> Vec<OptimizerConfig> {
        let sgd = SgdConfig { learning_rate: 0.1, momentum: 0.0, nesterov: false, weight_decay: 0.1, decoupled: false };
        vec![
            OptimizerConfig::Sgd(sgd),
            OptimizerConfig::Sgd(SgdConfig { momentum: 0.9, decoupled: true, ..sgd }),
            OptimizerConfig::Sgd(SgdConfig { momentum: 0.9, nesterov: true, ..sgd }),
            OptimizerConfig::Adam(AdamConfig { weight_decay: 0.01, ..AdamConfig::default() }),
            OptimizerConfig::AdamW(AdamWConfig::default()),
            OptimizerConfig::Adagrad(AdagradConfig { weight_decay: 0.01, ..AdagradConfig::default() }),
        ]
    }

    fn ramp(n: usize, from: f32) -> Vec<f32> {
        (0..n).map(|i| from + (i as f32 * 0.7).sin()).collect()
    }

    /// One element after the other is the naive order; blocks of 16 and 4 and any cut must give the same bits.
    #[test]
    fn any_cut_gives_the_same_bits() {
        for config in configs() {
            for n in [1, 3, 4, 15, 16, 17, 64, 103] {
                let gradient = ramp(n, 0.1);
                let mut whole = [ramp(n, 1.0), vec![0.0; n], vec![0.0; n]];
                let mut cut = whole.clone();
                for step in 1..4 {
                    let rule = StepRule::new(&config, step, 0.5);
                    let [w, a, b] = &mut whole;
                    let slots = rule.slots();
                    rule.update(w, &gradient, [a, b], 0.3);
                    for i in 0..n {
                        let [w, a, b] = &mut cut;
                        let own = i..i + 1;
                        rule.update(
                            &mut w[own.clone()],
                            &gradient[own.clone()],
                            [&mut a[own.clone()], &mut b[own]],
                            0.3,
                        );
                    }
                    assert_eq!(slots, config.slots());
                }
                assert_eq!(whole, cut, "{config:?}, {n} weights");
            }
        }
    }

    #[test]
    fn scale_is_applied_before_weight_decay() {
        for config in configs() {
            let rule = StepRule::new(&config, 1, 1.0);
            let gradient = ramp(20, 0.1);
            let scaled: Vec<f32> = gradient.iter().map(|g| g * 0.25).collect();
            let mut inside = [ramp(20, 1.0), vec![0.0; 20], vec![0.0; 20]];
            let mut before = inside.clone();
            let [w, a, b] = &mut inside;
            rule.update(w, &gradient, [a, b], 0.25);
            let [w, a, b] = &mut before;
            rule.update(w, &scaled, [a, b], 1.0);
            assert_eq!(inside, before, "{config:?}");
        }
    }

    #[test]
    fn zero_gradient_moves_nothing_but_decay() {
        for config in [
            OptimizerConfig::Adam(AdamConfig::default()),
            OptimizerConfig::Adagrad(AdagradConfig::default()),
            OptimizerConfig::Sgd(SgdConfig {
                learning_rate: 1.0,
                momentum: 0.9,
                nesterov: true,
                weight_decay: 0.0,
                decoupled: false,
            }),
        ] {
            let start = ramp(19, 1.0);
            let mut weights = start.clone();
            let (mut a, mut b) = (vec![0.0; 19], vec![0.0; 19]);
            StepRule::new(&config, 1, 1.0).update(&mut weights, &[0.0; 19], [&mut a, &mut b], 1.0);
            assert_eq!(weights, start, "{config:?}");
        }
    }

    #[test]
    fn moments_without_gradient_reach_zero_and_not_a_subnormal() {
        let config = OptimizerConfig::Adam(AdamConfig { betas: [0.9, 0.9], ..AdamConfig::default() });
        let (mut w, mut m, mut v) = ([1.0f32], [1.0f32], [1.0f32]);
        for step in 1..2000 {
            StepRule::new(&config, step, 1.0).update(&mut w, &[0.0], [&mut m, &mut v], 1.0);
            assert!(!m[0].is_subnormal() && !v[0].is_subnormal());
        }
        assert_eq!((m, v), ([0.0], [0.0]));
    }

    #[test]
    #[should_panic(expected = "a gradient per weight")]
    fn lengths_must_agree() {
        let config = OptimizerConfig::default();
        StepRule::new(&config, 1, 1.0).update(&mut [1.0], &[], [&mut [0.0], &mut [0.0]], 1.0);
    }
}
