//! [`metadata`]: a Parquet file whose texts are read as bytes; [`has_unknown`]: whether it has unknown types.

use std::sync::Arc;

use arrow::datatypes::Schema;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use parquet::arrow::ARROW_SCHEMA_META_KEY;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::{ConvertedType, LogicalType, Type as Physical};
use parquet::errors::Result;
use parquet::file::metadata::{FileMetaData, ParquetMetaData};
use parquet::schema::types::{SchemaDescriptor, Type, TypePtr};

use super::messages;
use super::utf8::bytes_field;

/// The metadata of the same file, whose texts are no longer said to be texts.
pub(super) fn metadata(of: &ArrowReaderMetadata) -> Result<ArrowReaderMetadata> {
    let (all, file) = (of.metadata(), of.metadata().file_metadata());
    let schema = SchemaDescriptor::new(without_texts(&file.schema_descr().root_schema_ptr())?);
    let file = FileMetaData::new(
        file.version(),
        file.num_rows(),
        file.created_by().map(str::to_owned),
        file.key_value_metadata().cloned(),
        Arc::new(schema),
        file.column_orders().cloned(),
    );
    let arrow = Schema::new(of.schema().fields().iter().map(|field| bytes_field(field)).collect::<Vec<_>>());
    let options = ArrowReaderOptions::new().with_schema(Arc::new(arrow));
    ArrowReaderMetadata::try_new(Arc::new(ParquetMetaData::new(file, all.row_groups().to_vec())), options)
}

/// Whether the file's writer had a type of Arrow that is not known.
pub(super) fn has_unknown(of: &ArrowReaderMetadata) -> bool {
    let pairs = of.metadata().file_metadata().key_value_metadata();
    let schema = pairs.and_then(|pairs| pairs.iter().find(|pair| pair.key == ARROW_SCHEMA_META_KEY)?.value.as_ref());
    let decoded = schema.and_then(|schema| BASE64_STANDARD.decode(schema).ok());
    decoded.is_some_and(|schema| messages::has_unknown(&schema))
}

fn without_texts(of: &TypePtr) -> Result<TypePtr> {
    let info = of.get_basic_info();
    let id = info.has_id().then(|| info.id());
    if of.is_group() {
        let fields = of.get_fields().iter().map(without_texts).collect::<Result<_>>()?;
        let mut group = Type::group_type_builder(of.name())
            .with_converted_type(info.converted_type())
            .with_logical_type(info.logical_type_ref().cloned())
            .with_id(id)
            .with_fields(fields);
        if info.has_repetition() {
            group = group.with_repetition(info.repetition());
        }
        return Ok(Arc::new(group.build()?));
    }
    let is_text = match info.logical_type_ref() {
        Some(logical) => matches!(logical, LogicalType::String | LogicalType::Json | LogicalType::Enum),
        None => matches!(info.converted_type(), ConvertedType::UTF8 | ConvertedType::JSON | ConvertedType::ENUM),
    };
    if !is_text || of.get_physical_type() != Physical::BYTE_ARRAY {
        return Ok(Arc::clone(of));
    }
    let bytes = Type::primitive_type_builder(of.name(), Physical::BYTE_ARRAY).with_repetition(info.repetition());
    Ok(Arc::new(bytes.with_id(id).build()?))
}
