//! Users, authors, categories, tags and videos, each derived only from the seed and its own number, so no data are kept
//! per user or video.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::synth::stream;

/// Width of the latent space of taste.
pub(super) const LATENT: usize = 6;

/// Length in seconds of the median video of each category, its controversy and how much it is passed on.
pub(super) const CATEGORIES: [Category; 12] = [
    Category::new("comedy", 18.0, 0.1, 0.9),
    Category::new("music", 150.0, -0.5, 0.5),
    Category::new("news", 75.0, 1.4, 0.3),
    Category::new("sports", 45.0, 0.6, 0.1),
    Category::new("games", 240.0, 0.5, -0.5),
    Category::new("food", 40.0, -0.4, 0.7),
    Category::new("travel", 60.0, -0.8, 0.2),
    Category::new("beauty", 35.0, 0.0, -0.3),
    Category::new("technology", 200.0, 0.7, 0.0),
    Category::new("film", 320.0, 0.2, -0.6),
    Category::new("animals", 15.0, -1.0, 1.1),
    Category::new("education", 280.0, -0.8, 0.4),
];

/// Tags that belong to one category, of each.
pub(super) const TAGS_PER_CATEGORY: usize = 10;

/// Tags that any video may carry.
pub(super) const COMMON_TAGS: usize = 20;

/// Groups of users with like taste: what a model can learn of a user before it knows her.
const ARCHETYPES: u64 = 16;

pub(super) type Vector = [f64; LATENT];

#[derive(Debug)]
pub(super) struct Category {
    pub(super) name: &'static str,
    pub(super) median_seconds: f64,
    pub(super) controversy: f64,
    pub(super) usefulness: f64,
}

impl Category {
    const fn new(name: &'static str, median_seconds: f64, controversy: f64, usefulness: f64) -> Self {
        Self { name, median_seconds, controversy, usefulness }
    }
}

/// A user, as she is over all of her rows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct User {
    pub(super) id: i64,
    pub(super) taste: Vector,
    /// Tendency to start a video.
    pub(super) activity: f64,
    /// Tendency to watch to the end.
    pub(super) patience: f64,
    /// Tendency to share and comment.
    pub(super) sociability: f64,
    /// Days since she registered.
    pub(super) age_days: u32,
    /// Hour around which she watches.
    pub(super) usual_hour: u8,
    /// Index of the device that she mostly uses.
    pub(super) usual_device: usize,
}

/// A video, as it is over all of its rows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Video {
    pub(super) id: i64,
    pub(super) author: i64,
    pub(super) category: usize,
    /// Tag numbers, see [`World::tag_name`].
    pub(super) tags: Vec<usize>,
    pub(super) seconds: u32,
    pub(super) theme: Vector,
    /// How much its cover promises beyond what it holds.
    pub(super) bait: f64,
    pub(super) quality: f64,
    pub(super) controversy: f64,
}

/// Everything that the seed decides once.
#[derive(Debug, Clone)]
pub(super) struct World {
    seed: u64,
    authors: u64,
    categories: [Vector; CATEGORIES.len()],
    tags: Vec<Vector>,
    archetypes: Vec<(Vector, f64, f64)>,
}

impl World {
    pub(super) fn new(seed: u64, authors: u64) -> Self {
        let mut rng = stream(seed, "video/world", 0);
        let categories = std::array::from_fn(|_| vector(&mut rng));
        let tags = (0..CATEGORIES.len() * TAGS_PER_CATEGORY + COMMON_TAGS).map(|_| vector(&mut rng)).collect();
        let archetypes = (0..ARCHETYPES).map(|_| (vector(&mut rng), normal(&mut rng), normal(&mut rng))).collect();
        Self { seed, authors, categories, tags, archetypes }
    }

    pub(super) fn user(&self, index: u64) -> User {
        let mut rng = stream(self.seed, "video/user", index);
        let (centre, patience, sociability) = &self.archetypes[rng.random_range(0..ARCHETYPES) as usize];
        let own = vector(&mut rng);
        // Half of the users live by the evening's peak, the others anywhere in the day.
        let usual_hour = if rng.random_bool(0.5) { 20 } else { rng.random_range(0..24) };
        User {
            id: spread(index, self.seed, "user"),
            taste: std::array::from_fn(|k| 0.85 * centre[k] + 0.53 * own[k]),
            activity: 0.7 * normal(&mut rng),
            patience: 0.7 * patience + 0.7 * normal(&mut rng),
            sociability: 0.8 * sociability + 0.6 * normal(&mut rng),
            age_days: (-400.0 * (1.0 - rng.random::<f64>()).ln()).min(3650.0) as u32,
            usual_hour,
            usual_device: pick(&mut rng, &[0.72, 0.10, 0.12, 0.06]),
        }
    }

    pub(super) fn video(&self, index: u64) -> Video {
        let mut rng = stream(self.seed, "video/video", index);
        // The square favours the first authors: some have many videos, most have few.
        let author = (rng.random::<f64>().powi(2) * self.authors as f64) as u64;
        let mut author_rng = stream(self.seed, "video/author", author.min(self.authors - 1));
        let home = author_rng.random_range(0..CATEGORIES.len());
        let category = if rng.random_bool(0.8) { home } else { rng.random_range(0..CATEGORIES.len()) };
        let author_vector = vector(&mut author_rng);
        let (author_bait, author_quality) = (normal(&mut author_rng), normal(&mut author_rng));

        let tags = draw_tags(&mut rng, category);
        let mut theme: Vector = std::array::from_fn(|k| 0.65 * self.categories[category][k] + 0.35 * author_vector[k]);
        for &tag in &tags {
            // Divided by the root of their number, so that a video's theme is as long with five tags as with one.
            let share = 0.55 / (tags.len() as f64).sqrt();
            theme.iter_mut().zip(&self.tags[tag]).for_each(|(x, t)| *x += share * t);
        }
        let own = vector(&mut rng);
        theme.iter_mut().zip(&own).for_each(|(x, o)| *x += 0.35 * o);

        let median = CATEGORIES[category].median_seconds;
        Video {
            id: spread(index, self.seed, "video"),
            author: spread(author, self.seed, "author"),
            category,
            tags,
            seconds: (median * (0.7 * normal(&mut rng)).exp()).clamp(4.0, 3600.0).round() as u32,
            theme,
            bait: 0.75 * author_bait + 0.66 * normal(&mut rng),
            quality: 0.75 * author_quality + 0.66 * normal(&mut rng),
            controversy: CATEGORIES[category].controversy + 0.7 * normal(&mut rng),
        }
    }

    /// The name of a tag: `<category>_<n>`, or `trend_<n>` of those that any video may carry.
    pub(super) fn tag_name(tag: usize) -> String {
        match CATEGORIES.get(tag / TAGS_PER_CATEGORY) {
            Some(category) => format!("{}_{}", category.name, tag % TAGS_PER_CATEGORY),
            None => format!("trend_{}", tag - CATEGORIES.len() * TAGS_PER_CATEGORY),
        }
    }
}

/// Zero to five different tags, three in four of them of the video's category.
fn draw_tags(rng: &mut ChaCha8Rng, category: usize) -> Vec<usize> {
    let mut tags = Vec::new();
    for _ in 0..rng.random_range(0..=5) {
        let tag = if rng.random_bool(0.75) {
            category * TAGS_PER_CATEGORY + rng.random_range(0..TAGS_PER_CATEGORY)
        } else {
            CATEGORIES.len() * TAGS_PER_CATEGORY + rng.random_range(0..COMMON_TAGS)
        };
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags
}

/// Scalar product of taste and theme, scaled to a variance of about one.
pub(super) fn affinity(user: &User, video: &Video) -> f64 {
    user.taste.iter().zip(&video.theme).map(|(a, b)| a * b).sum::<f64>() / (LATENT as f64).sqrt()
}

/// Index drawn with the given probabilities, whose sum is one.
pub(super) fn pick(rng: &mut ChaCha8Rng, probabilities: &[f64]) -> usize {
    let mut left: f64 = rng.random();
    for (i, p) in probabilities.iter().enumerate() {
        left -= p;
        if left < 0.0 {
            return i;
        }
    }
    probabilities.len() - 1
}

pub(super) fn normal(rng: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(rng)
}

fn vector(rng: &mut ChaCha8Rng) -> Vector {
    std::array::from_fn(|_| normal(rng))
}

/// Spreads numbers 0, 1, 2, ... over [0, 2^63), different ones to different ids: each step can be undone.
///
/// Real ids are spread so, and most of these are no exact f64; a reader that takes them for numbers merges users.
fn spread(index: u64, seed: u64, kind: &str) -> i64 {
    const MASK: u64 = u64::MAX >> 1;
    let mut x = (index ^ xxhash_rust::xxh64::xxh64(kind.as_bytes(), seed)) & MASK;
    for odd in [0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb] {
        x ^= x >> 31;
        x = x.wrapping_mul(odd) & MASK;
    }
    x ^= x >> 31;
    x as i64
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_different_positive_and_large() {
        let ids: HashSet<i64> = (0..100_000).map(|i| spread(i, 3, "user")).collect();
        assert_eq!(ids.len(), 100_000);
        assert!(ids.iter().all(|&id| id >= 0));
        let large = ids.iter().filter(|&&id| id > 1 << 53).count();
        assert!(large > 99_000, "{large}");
        // As numbers of the f64 line they would still differ here, but not be what they were.
        assert!(ids.iter().filter(|&&id| id as f64 as i64 != id).count() > 90_000);
    }

    #[test]
    fn entities_depend_on_seed_and_number_alone() {
        let (a, b, other) = (World::new(7, 50), World::new(7, 50), World::new(8, 50));
        assert_eq!(a.user(12), b.user(12));
        assert_eq!(a.video(12), b.video(12));
        assert_ne!(a.user(12), other.user(12));
        assert_ne!(a.user(12), a.user(13));
    }

    #[test]
    fn tags_have_names_of_their_own() {
        let count = CATEGORIES.len() * TAGS_PER_CATEGORY + COMMON_TAGS;
        let names: HashSet<String> = (0..count).map(World::tag_name).collect();
        assert_eq!(names.len(), count);
        assert!(names.contains("comedy_0") && names.contains("education_9") && names.contains("trend_19"));
        assert!(names.iter().all(|name| !name.contains('|')));
    }

    #[test]
    fn affinity_has_about_unit_variance() {
        let world = World::new(1, 100);
        let values: Vec<f64> =
            (0..20_000).map(|i| affinity(&world.user(i % 1_000), &world.video(i.wrapping_mul(7919) % 3_000))).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
        assert!(mean.abs() < 0.5 && (0.5..2.0).contains(&variance), "{mean} {variance}");
    }
}
