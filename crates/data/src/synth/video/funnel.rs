//! One impression: its context, the true probabilities, and the outcome drawn from them.
//!
//! A video starts by itself (auto-play) or because the user chose it. The log does not say which, and the proportions
//! of the two differ between wifi and mobile networks, and between television and phone. After a start the watched
//! share of the video is F = U^(exp(-m)) with U uniform, so that E[F] = sigmoid(m) and P(F > r) = 1 - r^(exp(m)). A
//! video that started by itself may run on unwatched: it then counts as a valid view, independent of taste.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::world::{CATEGORIES, User, Video, affinity, pick};

pub(super) const DEVICES: [&str; 4] = ["phone", "tablet", "desktop", "tv"];
pub(super) const NETWORKS: [&str; 4] = ["wifi", "5g", "4g", "3g"];

const TV: usize = 3;
const WIFI: usize = 0;

/// A view is valid from this many seconds on, or from 80 % of a shorter video.
const VALID_SECONDS: f64 = 15.0;

/// Where and when a video is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context {
    pub(super) hour: u8,
    pub(super) device: usize,
    pub(super) network: usize,
}

impl Context {
    pub(super) fn draw(rng: &mut ChaCha8Rng, user: &User) -> Self {
        let offset = (rng.random::<f64>() + rng.random::<f64>() - 1.0) * 8.0;
        let hour = (f64::from(user.usual_hour) + offset).rem_euclid(24.0) as u8;
        let device = if rng.random_bool(0.85) { user.usual_device } else { rng.random_range(0..DEVICES.len()) };
        let network = match device {
            0 if (8..19).contains(&hour) => pick(rng, &[0.35, 0.30, 0.30, 0.05]),
            0 => pick(rng, &[0.65, 0.18, 0.15, 0.02]),
            1 => pick(rng, &[0.85, 0.08, 0.06, 0.01]),
            _ => WIFI,
        };
        Self { hour, device, network }
    }

    /// Probability that a video starts without being chosen.
    fn auto_play(self) -> f64 {
        let by_network = [0.13, 0.04, 0.015, 0.005][self.network];
        let by_device = [1.0, 0.9, 0.5, 2.2][self.device];
        by_network * by_device
    }

    fn is_evening(self) -> bool {
        (19..24).contains(&self.hour)
    }
}

/// True probabilities (of completion: expectation) of one impression, given all but how it started.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Truth {
    /// P(click = 1).
    pub(super) click: f64,
    /// P(valid_view = 1 | click = 1).
    pub(super) valid_view: f64,
    /// E(completion | click = 1).
    pub(super) completion: f64,
    /// P(share = 1 | click = 1).
    pub(super) share: f64,
    /// P(comment = 1 | click = 1).
    pub(super) comment: f64,
}

/// The log's labels of a started video.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Outcome {
    pub(super) valid_view: bool,
    pub(super) completion: f64,
    pub(super) share: bool,
    pub(super) comment: bool,
}

/// How a started video goes on, given how it started.
#[derive(Debug, Clone, Copy)]
struct Mode {
    /// Probability that it runs on past the threshold without the user's choice.
    hold: f64,
    /// Logit m of the expected share watched.
    watch: f64,
    share: f64,
    comment: f64,
}

/// One impression, ready to be drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Funnel {
    auto_play: f64,
    chosen: f64,
    /// Share of the video from which on a view is valid.
    threshold: f64,
    /// Started by itself, chosen.
    modes: [Mode; 2],
}

impl Funnel {
    /// The probabilities' formulas. Tasks share taste, and pull apart over bait (clicked, then left), length (valid
    /// but not completed), quality (not seen before the click, decisive after it) and controversy (commented on, not
    /// passed on).
    pub(super) fn new(user: &User, video: &Video, context: Context) -> Self {
        let taste = affinity(user, video);
        let category = &CATEGORIES[video.category];
        let seconds = f64::from(video.seconds);
        // Zero at one minute; about -1.4 at 15 seconds and 1.8 at six minutes.
        let length = (seconds / 60.0).ln();
        let newcomer = f64::from(u8::from(user.age_days < 60));
        let evening = f64::from(u8::from(context.is_evening()));
        let tv = context.device == TV;

        let fits_device = if tv { 0.45 * length } else { -0.20 * length };
        let chosen = sigmoid(
            -2.25 + 1.25 * taste + 0.80 * video.bait - 0.10 * video.quality
                + user.activity
                + 0.35 * newcomer
                + 0.20 * evening
                + fits_device,
        );
        let watch = -0.80 + 0.90 * taste - 0.65 * video.bait + 0.45 * video.quality + 0.35 * user.patience
            - 0.45 * length
            + if tv { 0.40 } else { 0.0 };
        let share = -4.75 + 1.30 * taste - 0.40 * video.bait + 0.50 * video.quality + 0.45 * user.sociability
            - 0.45 * video.controversy
            + 0.60 * category.usefulness
            - if tv { 1.5 } else { 0.0 };
        let comment = -4.45
            + 1.05 * taste
            + 0.20 * video.bait
            + 0.20 * video.quality
            + 0.50 * user.sociability
            + 0.75 * video.controversy
            + 0.35 * evening
            - 0.5 * newcomer
            - if tv { 2.0 } else { 0.0 };

        let by_itself = Mode {
            hold: sigmoid(0.20 + if tv { 1.0 } else { 0.0 } + 0.4 * evening - 0.3 * user.activity),
            watch: watch - 1.1,
            share: sigmoid(share - 1.5),
            comment: sigmoid(comment - 1.5),
        };
        let by_choice = Mode { hold: 0.0, watch, share: sigmoid(share), comment: sigmoid(comment) };
        Self {
            auto_play: context.auto_play(),
            chosen,
            threshold: (VALID_SECONDS / seconds).min(0.8),
            modes: [by_itself, by_choice],
        }
    }

    pub(super) fn truth(&self) -> Truth {
        let click = self.auto_play + (1.0 - self.auto_play) * self.chosen;
        let by_itself = self.auto_play / click;
        let mean = |of: &dyn Fn(&Mode) -> f64| by_itself * of(&self.modes[0]) + (1.0 - by_itself) * of(&self.modes[1]);
        let r = self.threshold;
        Truth {
            click,
            valid_view: mean(&|m| m.hold + (1.0 - m.hold) * (1.0 - r.powf(m.watch.exp()))),
            completion: mean(&|m| {
                let share = sigmoid(m.watch);
                m.hold * (r + (1.0 - r) * share) + (1.0 - m.hold) * share
            }),
            share: mean(&|m| m.share),
            comment: mean(&|m| m.comment),
        }
    }

    /// `None` where the video was not started. Always takes the same number of random draws.
    pub(super) fn draw(&self, rng: &mut ChaCha8Rng) -> Option<Outcome> {
        let [auto, choice, held, watched, share, comment]: [f64; 6] = std::array::from_fn(|_| rng.random());
        let mode = if auto < self.auto_play {
            &self.modes[0]
        } else if choice < self.chosen {
            &self.modes[1]
        } else {
            return None;
        };
        let watched = watched.powf((-mode.watch).exp());
        let (valid_view, completion) = if held < mode.hold {
            (true, self.threshold + (1.0 - self.threshold) * watched)
        } else {
            (watched >= self.threshold, watched)
        };
        Some(Outcome { valid_view, completion, share: share < mode.share, comment: comment < mode.comment })
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::stream;
    use crate::synth::video::world::World;

    /// One impression drawn again and again has the frequencies of its true probabilities.
    #[test]
    fn frequencies_of_one_impression_are_its_truth() {
        let world = World::new(3, 100);
        let mut rng = stream(3, "test", 0);
        for i in 0..8 {
            let user = world.user(i);
            let context = Context { hour: 20, device: (i % 4) as usize, network: WIFI };
            let funnel = Funnel::new(&user, &world.video(i), context);
            let truth = funnel.truth();
            let n = 40_000;
            let drawn: Vec<Outcome> = (0..n).filter_map(|_| funnel.draw(&mut rng)).collect();
            let clicks = drawn.len() as f64;
            let near = |name: &str, measured: f64, truth: f64, of: f64| {
                let error = (truth * (1.0 - truth) / of).sqrt();
                assert!((measured - truth).abs() < 4.5 * error + 1e-4, "{i} {name}: {measured} {truth} +- {error}");
            };
            let rate = |of: fn(&Outcome) -> bool| drawn.iter().filter(|o| of(o)).count() as f64 / clicks;
            near("click", clicks / f64::from(n), truth.click, f64::from(n));
            near("valid_view", rate(|o| o.valid_view), truth.valid_view, clicks);
            near("share", rate(|o| o.share), truth.share, clicks);
            near("comment", rate(|o| o.comment), truth.comment, clicks);
            // The variance of a share of at most 1 is at most that of a coin.
            near("completion", drawn.iter().map(|o| o.completion).sum::<f64>() / clicks, truth.completion, clicks);
        }
    }

    #[test]
    fn a_valid_view_is_what_its_completion_says() {
        let world = World::new(4, 100);
        let mut rng = stream(4, "test", 0);
        for i in 0..2_000 {
            let (user, video) = (world.user(i), world.video(i));
            let context = Context::draw(&mut rng, &user);
            if let Some(outcome) = Funnel::new(&user, &video, context).draw(&mut rng) {
                let threshold = (VALID_SECONDS / f64::from(video.seconds)).min(0.8);
                assert!((0.0..=1.0).contains(&outcome.completion));
                assert_eq!(outcome.valid_view, outcome.completion >= threshold, "{outcome:?}");
            }
        }
    }

    #[test]
    fn bait_is_clicked_and_left() {
        let world = World::new(5, 100);
        let (user, video) = (world.user(1), world.video(1));
        let context = Context { hour: 12, device: 0, network: 2 };
        let plain = Funnel::new(&user, &Video { bait: 0.0, ..video.clone() }, context).truth();
        let bait = Funnel::new(&user, &Video { bait: 1.0, ..video.clone() }, context).truth();
        assert!(bait.click > plain.click && bait.completion < plain.completion && bait.share < plain.share);

        let short = Funnel::new(&user, &Video { seconds: 15, ..video.clone() }, context).truth();
        let long = Funnel::new(&user, &Video { seconds: 300, ..video }, context).truth();
        assert!(long.valid_view > short.valid_view && long.completion < short.completion);
    }
}
