//! [`check`]: whether the sizes that an Arrow IPC file gives for itself are possible.
//!
//! The decoder allocates the size that a message gives before it reads the message. A failed allocation ends the
//! process, and no guard can catch that. So every length is first compared with the file's own. The decoder checks
//! the contents.

use std::io::{self, Read, Seek, SeekFrom};

use arrow::ipc::{Buffer, Message, root_as_footer, root_as_message};

/// More than a buffer of one batch can sensibly hold once it is decompressed.
const MAX_BUFFER: i64 = 1 << 32;

/// Bytes behind a file's footer: its length and the magic.
const TRAILER: u64 = 10;

/// Refuses sizes that cannot be true. What cannot be read at all is left to the decoder, which has better words for it.
pub(super) fn check(file: &mut (impl Read + Seek), is_file: bool) -> io::Result<Result<(), String>> {
    let size = file.seek(SeekFrom::End(0))?;
    let result = if is_file { footer(file, size) } else { stream(file, size) };
    match result {
        // The file ends earlier than it says: the decoder will find the same, and say where.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Ok(())),
        result => result,
    }
}

fn stream(file: &mut (impl Read + Seek), size: u64) -> io::Result<Result<(), String>> {
    let mut at = 0;
    while at < size {
        file.seek(SeekFrom::Start(at))?;
        match message(file, size)? {
            Ok(Some(end)) => at = end,
            Ok(None) => break,
            Err(wrong) => return Ok(Err(wrong)),
        }
    }
    Ok(Ok(()))
}

fn footer(file: &mut (impl Read + Seek), size: u64) -> io::Result<Result<(), String>> {
    let Some(end) = size.checked_sub(TRAILER) else { return Ok(Ok(())) };
    file.seek(SeekFrom::Start(end))?;
    let length = i32::from_le_bytes(array(file)?);
    let Some(start) = u64::try_from(length).ok().and_then(|length| end.checked_sub(length)) else {
        return Ok(Err(format!("a footer of {length} bytes in a file of {size}")));
    };
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = vec![0; (end - start) as usize];
    file.read_exact(&mut bytes)?;
    let Ok(footer) = root_as_footer(&bytes) else { return Ok(Ok(())) };
    let blocks = footer.dictionaries().into_iter().flatten().chain(footer.recordBatches().into_iter().flatten());
    for block in blocks {
        let parts = [block.offset(), i64::from(block.metaDataLength()), block.bodyLength()];
        if let Some(wrong) = parts.into_iter().find(|&part| !fits(part, size)) {
            return Ok(Err(format!("a block of {wrong} bytes in a file of {size}")));
        }
        file.seek(SeekFrom::Start(block.offset() as u64))?;
        if let Err(wrong) = message(file, size)? {
            return Ok(Err(wrong));
        }
    }
    Ok(Ok(()))
}

/// Checks the message that begins here; where it ends, or `None` where there is no further one.
fn message(file: &mut (impl Read + Seek), size: u64) -> io::Result<Result<Option<u64>, String>> {
    let mut length = u32::from_le_bytes(array(file)?);
    if length == u32::MAX {
        length = u32::from_le_bytes(array(file)?);
    }
    if length == 0 {
        return Ok(Ok(None));
    }
    if u64::from(length) > size {
        return Ok(Err(format!("a message of {length} bytes in a file of {size}")));
    }
    let mut bytes = vec![0; length as usize];
    file.read_exact(&mut bytes)?;
    let Ok(message) = root_as_message(&bytes) else { return Ok(Ok(None)) };
    let body = message.bodyLength();
    if !fits(body, size) {
        return Ok(Err(format!("a message of {body} bytes in a file of {size}")));
    }
    let start = file.stream_position()?;
    for buffer in compressed_buffers(&message) {
        let told = [buffer.offset(), buffer.length()];
        if told.into_iter().any(|part| !fits(part, size)) || buffer.length() < 8 {
            continue;
        }
        file.seek(SeekFrom::Start(start + buffer.offset() as u64))?;
        let decompressed = i64::from_le_bytes(array(file)?);
        if decompressed > MAX_BUFFER {
            return Ok(Err(format!("a buffer of {decompressed} bytes once it is decompressed")));
        }
    }
    Ok(Ok(Some(start + body as u64)))
}

/// Buffers that begin with the length they have once they are decompressed.
fn compressed_buffers(message: &Message<'_>) -> Vec<Buffer> {
    let batch = message.header_as_record_batch().or_else(|| message.header_as_dictionary_batch()?.data());
    let compressed = batch.filter(|batch| batch.compression().is_some());
    compressed.and_then(|batch| batch.buffers()).map(|buffers| buffers.iter().copied().collect()).unwrap_or_default()
}

fn fits(part: i64, size: u64) -> bool {
    u64::try_from(part).is_ok_and(|part| part <= size)
}

fn array<const N: usize>(file: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Cursor;
    use std::sync::Arc;

    use arrow::array::{Int64Array, RecordBatch};
    use arrow::ipc::CompressionType;
    use arrow::ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};

    use super::*;

    fn bytes(is_file: bool, compression: Option<CompressionType>) -> Vec<u8> {
        let column = Arc::new(Int64Array::from_iter_values((0..1000).map(|i| i % 3))) as _;
        let batch = RecordBatch::try_from_iter([("a", column)]).unwrap();
        let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
        let mut bytes = Vec::new();
        if is_file {
            let mut writer = FileWriter::try_new_with_options(&mut bytes, &batch.schema(), options).unwrap();
            writer.write(&batch).unwrap();
            writer.finish().unwrap();
        } else {
            let mut writer = StreamWriter::try_new_with_options(&mut bytes, &batch.schema(), options).unwrap();
            writer.write(&batch).unwrap();
            writer.finish().unwrap();
        }
        bytes
    }

    fn checked(bytes: &[u8], is_file: bool) -> Result<(), String> {
        check(&mut Cursor::new(bytes), is_file).unwrap()
    }

    #[test]
    fn what_was_written_whole_passes() {
        for is_file in [true, false] {
            for compression in [None, Some(CompressionType::ZSTD), Some(CompressionType::LZ4_FRAME)] {
                let bytes = bytes(is_file, compression);
                assert_eq!(checked(&bytes, is_file), Ok(()));
                // What is cut off is left to the decoder.
                for keep in 0..bytes.len().min(600) {
                    let _ = checked(&bytes[..keep], is_file);
                }
            }
        }
    }

    /// Every number of eight bytes in turn becomes a length that no machine has: each is either not looked at by the
    /// decoder as a size, or refused.
    #[test]
    fn lengths_that_cannot_be_true_are_refused() {
        for (is_file, compression) in [(false, None), (true, None), (false, Some(CompressionType::ZSTD))] {
            let whole = bytes(is_file, compression);
            let mut refused = 0;
            for at in (0..whole.len() - 8).step_by(8) {
                let mut damaged = whole.clone();
                damaged[at..at + 8].copy_from_slice(&0x2c00_0000_0000_0000u64.to_le_bytes());
                refused += usize::from(checked(&damaged, is_file).is_err());
            }
            assert!(refused >= 1, "file {is_file}, {compression:?}: {refused}");
        }
    }
}
