//! Checksums of Parquet pages: the CRC-32 of each page's bytes in its header. The format has a place for it, and the
//! `parquet` crate reads it but does not write it.
//!
//! A column's writer gives each page as a header and its bytes. They are kept here, with their checksums, until the row
//! group is full.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use flate2::Crc;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, PageKey, PageStore, PageStoreArgs, PageStoreFactory};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};

/// A 32-bit number that follows the field before it, in Thrift's compact form.
const NEXT_I32: u8 = 0x15;

/// The field number's distance from the one before it stands in the upper half of a byte.
const ONE_FIELD: u8 = 0x10;

/// How the header of a dictionary begins: type 2 in field 1.
const DICTIONARY: [u8; 2] = [NEXT_I32, 4];

/// The pages of all columns of a row group.
#[derive(Debug, Clone, Default)]
pub(super) struct Pages(Arc<Mutex<Vec<Shared>>>);

type Shared = Arc<Mutex<ColumnPages>>;

/// The pages of one column.
#[derive(Debug, Default)]
struct ColumnPages {
    /// A header whose page is yet to come.
    header: Option<Bytes>,
    pages: Vec<Page>,
    bytes: usize,
}

#[derive(Debug)]
struct Page {
    header: Vec<u8>,
    data: Bytes,
}

impl Page {
    fn is_dictionary(&self) -> bool {
        self.header.starts_with(&DICTIONARY)
    }

    fn len(&self) -> usize {
        self.header.len() + self.data.len()
    }
}

impl PageStoreFactory for Pages {
    fn create(&self, args: &PageStoreArgs<'_>) -> Result<Box<dyn PageStore>> {
        let column = Shared::default();
        let mut columns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = args.column_index();
        let len = columns.len().max(at + 1);
        columns.resize_with(len, Shared::default);
        columns[at] = Arc::clone(&column);
        Ok(Box::new(Store(column)))
    }
}

#[derive(Debug)]
struct Store(Shared);

impl PageStore for Store {
    fn put(&mut self, value: Bytes) -> Result<PageKey> {
        let mut column = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        column.bytes += value.len();
        match column.header.take() {
            None => column.header = Some(value),
            Some(header) => {
                let mut crc = Crc::new();
                crc.update(&value);
                let header = with_crc(&header, crc.sum()).ok_or_else(|| general("a page header of another form"))?;
                column.pages.push(Page { header, data: value });
            }
        }
        Ok(PageKey::new(column.pages.len() as u64))
    }

    fn take(&mut self, _: PageKey) -> Result<Bytes> {
        Err(general("pages are taken all at once"))
    }

    fn memory_size(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }
}

impl Pages {
    /// The bytes of a column that is complete, and where its pages stand in them.
    pub(super) fn take(&self, column: usize, chunk: &ArrowColumnChunk) -> Result<(Bytes, ColumnCloseResult)> {
        let columns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = columns.get(column).ok_or_else(|| general("a column without pages"))?;
        let pages = std::mem::take(&mut *shared.lock().unwrap_or_else(PoisonError::into_inner)).pages;
        // The dictionary comes first in the file, and was made last.
        let (dictionary, data): (Vec<Page>, Vec<Page>) = pages.into_iter().partition(Page::is_dictionary);
        let mut bytes = Vec::with_capacity(dictionary.iter().chain(&data).map(Page::len).sum());
        let mut append = |page: &Page| {
            let offset = bytes.len() as i64;
            bytes.extend_from_slice(&page.header);
            bytes.extend_from_slice(&page.data);
            offset
        };
        for page in &dictionary {
            append(page);
        }
        let offsets: Vec<i64> = data.iter().map(append).collect();

        let mut close = chunk.close().clone();
        let sums = bytes.len() as i64 - close.metadata.compressed_size();
        close.bytes_written = bytes.len() as u64;
        if let Some(index) = &mut close.offset_index {
            if index.page_locations.len() != data.len() {
                return Err(general("an index of other pages"));
            }
            for ((location, page), offset) in index.page_locations.iter_mut().zip(&data).zip(&offsets) {
                location.offset = *offset;
                location.compressed_page_size = page.len() as i32;
            }
        }
        let metadata = close.metadata;
        let uncompressed = metadata.uncompressed_size() + sums;
        close.metadata = metadata
            .into_builder()
            .set_total_compressed_size(bytes.len() as i64)
            .set_total_uncompressed_size(uncompressed)
            .set_dictionary_page_offset((!dictionary.is_empty()).then_some(0))
            .set_data_page_offset(dictionary.iter().map(Page::len).sum::<usize>() as i64)
            .build()?;
        Ok((Bytes::from(bytes), close))
    }
}

/// A page header with the sum of the page's bytes in field 4, behind the type and the two sizes.
fn with_crc(header: &[u8], crc: u32) -> Option<Vec<u8>> {
    let mut at = 0;
    for _ in 1..=3 {
        if *header.get(at)? != NEXT_I32 {
            return None;
        }
        let number = header.get(at + 1..)?;
        at += 2 + number.iter().position(|byte| byte & 0x80 == 0)?;
    }
    let next = header.get(at)?.checked_sub(ONE_FIELD).filter(|next| next / ONE_FIELD > 0)?;
    let mut with = Vec::with_capacity(header.len() + 6);
    with.extend_from_slice(&header[..at]);
    with.push(NEXT_I32);
    let signed = crc.cast_signed();
    let mut zigzag = ((signed << 1) ^ (signed >> 31)).cast_unsigned();
    while zigzag >= 0x80 {
        with.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    with.push(zigzag as u8);
    with.push(next);
    with.extend_from_slice(&header[at + 1..]);
    Some(with)
}

fn general(what: &str) -> ParquetError {
    ParquetError::General(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_put_behind_the_sizes() {
        let header = [0x15, 0x00, 0x15, 0x80, 0x01, 0x15, 0x02, 0x2c, 0x15, 0x06, 0x00, 0x00];
        let with = [0x15, 0x00, 0x15, 0x80, 0x01, 0x15, 0x02, 0x15, 0x01, 0x1c, 0x15, 0x06, 0x00, 0x00];
        assert_eq!(with_crc(&header, u32::MAX).as_deref(), Some(&with[..]));
        assert_eq!(with_crc(&header, 1 << 31).map(|with| with.len()), Some(header.len() + 6));
        // One that has a sum already, is cut off, or has other fields.
        assert_eq!(with_crc(&with, 7), None);
        assert_eq!(with_crc(&header[..7], 7), None);
        assert_eq!(with_crc(&[0x25, 0x00], 7), None);
    }
}
