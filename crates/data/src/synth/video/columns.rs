//! The columns of a video log, filled row by row.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float32Builder, Float64Builder, Int8Builder, Int32Builder, Int64Builder, ListBuilder, StringBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;

use super::LABELS;
use super::funnel::{Context, DEVICES, NETWORKS, Outcome, Truth};
use super::world::{CATEGORIES, User, Video, World};
use crate::{Error, Result};

/// Columns in the order of the file.
pub(super) fn schema(with_truth: bool) -> SchemaRef {
    let tags = DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)));
    let mut fields = vec![
        Field::new("user_id", DataType::Int64, false),
        Field::new("video_id", DataType::Int64, false),
        Field::new("author_id", DataType::Int64, false),
        Field::new("category", DataType::Utf8, false),
        Field::new("hour", DataType::Int8, false),
        Field::new("device", DataType::Utf8, false),
        Field::new("network", DataType::Utf8, false),
        Field::new("tags", tags, false),
        Field::new("video_seconds", DataType::Int32, false),
        Field::new("user_age_days", DataType::Int32, true),
    ];
    fields.extend(LABELS.map(|name| {
        let kind = if name == "completion" { DataType::Float32 } else { DataType::Int8 };
        Field::new(name, kind, name != "click")
    }));
    if with_truth {
        fields.extend(LABELS.map(|name| Field::new(format!("true_{name}"), DataType::Float64, false)));
    }
    Arc::new(Schema::new(fields))
}

#[derive(Debug, Default)]
pub(super) struct LogColumns {
    user_id: Int64Builder,
    video_id: Int64Builder,
    author_id: Int64Builder,
    category: StringBuilder,
    hour: Int8Builder,
    device: StringBuilder,
    network: StringBuilder,
    tags: ListBuilder<StringBuilder>,
    video_seconds: Int32Builder,
    user_age_days: Int32Builder,
    click: Int8Builder,
    valid_view: Int8Builder,
    completion: Float32Builder,
    share: Int8Builder,
    comment: Int8Builder,
    truth: [Float64Builder; LABELS.len()],
}

impl LogColumns {
    pub(super) fn push_features(&mut self, user: &User, video: &Video, context: Context, age_known: bool) {
        self.user_id.append_value(user.id);
        self.video_id.append_value(video.id);
        self.author_id.append_value(video.author);
        self.category.append_value(CATEGORIES[video.category].name);
        self.hour.append_value(context.hour as i8);
        self.device.append_value(DEVICES[context.device]);
        self.network.append_value(NETWORKS[context.network]);
        self.tags.append_value(video.tags.iter().map(|&tag| Some(World::tag_name(tag))));
        self.video_seconds.append_value(video.seconds as i32);
        self.user_age_days.append_option(age_known.then_some(user.age_days as i32));
    }

    /// `None`: not started, so nothing after the click is known.
    pub(super) fn push_labels(&mut self, outcome: Option<Outcome>) {
        self.click.append_value(i8::from(outcome.is_some()));
        self.valid_view.append_option(outcome.map(|o| i8::from(o.valid_view)));
        self.completion.append_option(outcome.map(|o| o.completion as f32));
        self.share.append_option(outcome.map(|o| i8::from(o.share)));
        self.comment.append_option(outcome.map(|o| i8::from(o.comment)));
    }

    pub(super) fn push_truth(&mut self, truth: Truth) {
        let values = [truth.click, truth.valid_view, truth.completion, truth.share, truth.comment];
        self.truth.iter_mut().zip(values).for_each(|(column, value)| column.append_value(value));
    }

    pub(super) fn finish(mut self, schema: SchemaRef) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.user_id.finish()),
            Arc::new(self.video_id.finish()),
            Arc::new(self.author_id.finish()),
            Arc::new(self.category.finish()),
            Arc::new(self.hour.finish()),
            Arc::new(self.device.finish()),
            Arc::new(self.network.finish()),
            Arc::new(self.tags.finish()),
            Arc::new(self.video_seconds.finish()),
            Arc::new(self.user_age_days.finish()),
            Arc::new(self.click.finish()),
            Arc::new(self.valid_view.finish()),
            Arc::new(self.completion.finish()),
            Arc::new(self.share.finish()),
            Arc::new(self.comment.finish()),
        ];
        // Empty unless truth was asked for.
        let truth = schema.fields().len() - columns.len();
        columns.extend(self.truth.iter_mut().take(truth).map(|column| Arc::new(column.finish()) as ArrayRef));
        RecordBatch::try_new(schema, columns).map_err(|e| Error::Synth { reason: e.to_string() })
    }
}
