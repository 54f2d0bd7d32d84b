//! A video feed: impressions, the funnel impression -> click -> (valid view, completion, share, comment), and the truth.

mod columns;
mod funnel;
mod world;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use rand::Rng;
use rand_distr::{Distribution, Zipf};

use self::columns::LogColumns;
use self::funnel::{Context, Funnel};
use self::world::World;
use super::{SyntheticLog, check_rows, refuse, stream};
use crate::Result;

/// Names of the label columns, in the order of the funnel.
pub const LABELS: [&str; 5] = ["click", "valid_view", "completion", "share", "comment"];

/// Rows of a block.
pub const BLOCK_ROWS: u64 = 4096;

/// A power of popularity: user and video number n appear in proportion to n^-power.
const USER_POWER: f64 = 0.6;
const VIDEO_POWER: f64 = 0.9;

/// Share of rows whose `user_age_days` is missing.
const AGE_MISSING: f64 = 0.03;

/// Most users or videos; a popularity rank must be an exact f64.
const MOST: u64 = 1 << 40;

/// What [`VideoLog`] is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoOptions {
    /// Number of rows (impressions), from 1 to 2^40.
    pub rows: u64,
    /// Seed of everything random.
    pub seed: u64,
    /// Number of users that may appear.
    pub users: u64,
    /// Number of videos that may appear.
    pub videos: u64,
    /// Whether the columns `true_click`, `true_valid_view`, ... are added.
    pub with_truth: bool,
}

impl Default for VideoOptions {
    fn default() -> Self {
        Self { rows: 500_000, seed: 1, users: 5_000, videos: 2_000, with_truth: false }
    }
}

/// Impressions of a video feed.
///
/// | column | type | what |
/// | --- | --- | --- |
/// | `user_id`, `video_id`, `author_id` | i64 | spread over [0, 2^63) |
/// | `category`, `device`, `network` | text | |
/// | `hour` | i8 | 0 to 23 |
/// | `tags` | list of text | none to five; joined by a vertical bar in CSV |
/// | `video_seconds` | i32 | |
/// | `user_age_days` | i32 | days since registration; missing in 3 % of the rows |
/// | `click` | i8 | 1 if the video started, by choice or by auto-play |
/// | `valid_view` | i8 | 1 if 15 seconds (or 80 % of a shorter video) were watched; missing without click |
/// | `completion` | f32 | share of the video that was watched, 0 to 1; missing without click |
/// | `share`, `comment` | i8 | missing without click |
///
/// With truth, five f64 columns follow, on every row: `true_click` = P(click = 1), and for the other labels
/// `true_valid_view`, `true_share`, `true_comment` = P(label = 1 | click = 1) and `true_completion` =
/// E(completion | click = 1), given user, video and context but not how the video started. They do not change any
/// other column.
#[derive(Debug, Clone)]
pub struct VideoLog {
    options: VideoOptions,
    world: World,
    user_rank: Zipf<f64>,
    video_rank: Zipf<f64>,
    schema: SchemaRef,
}

impl VideoLog {
    /// Draws the categories, tags and groups of users; the rest is drawn with the rows.
    ///
    /// # Errors
    /// [`crate::Error::SynthOption`] if an option is out of its range.
    pub fn new(options: VideoOptions) -> Result<Self> {
        check_rows(options.rows)?;
        let zipf = |option, count: u64, power| match Zipf::new(count as f64, power) {
            Ok(zipf) if (1..=MOST).contains(&count) => Ok(zipf),
            _ => refuse(option, count, format!("from 1 to {MOST}")),
        };
        Ok(Self {
            user_rank: zipf("users", options.users, USER_POWER)?,
            video_rank: zipf("videos", options.videos, VIDEO_POWER)?,
            world: World::new(options.seed, options.videos.div_ceil(10)),
            schema: columns::schema(options.with_truth),
            options,
        })
    }
}

impl SyntheticLog for VideoLog {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn rows(&self) -> u64 {
        self.options.rows
    }

    fn block_rows(&self) -> u64 {
        BLOCK_ROWS
    }

    fn block(&self, index: u64) -> Result<RecordBatch> {
        let rows = self.rows_of(index);
        let mut rng = stream(self.options.seed, "video/rows", index);
        let mut columns = LogColumns::default();
        for _ in 0..rows {
            let user = self.world.user(self.user_rank.sample(&mut rng) as u64 - 1);
            let video = self.world.video(self.video_rank.sample(&mut rng) as u64 - 1);
            let context = Context::draw(&mut rng, &user);
            let funnel = Funnel::new(&user, &video, context);
            let age_known = !rng.random_bool(AGE_MISSING);
            columns.push_features(&user, &video, context, age_known);
            columns.push_labels(funnel.draw(&mut rng));
            if self.options.with_truth {
                columns.push_truth(funnel.truth());
            }
        }
        columns.finish(self.schema())
    }
}

#[cfg(test)]
mod tests;
