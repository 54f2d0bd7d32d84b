//! Messages of gRPC behind their heads.

use bytes::BufMut;
use prost::Message;

/// Length of the head of a message.
pub(crate) const HEAD: usize = 5;

/// A message behind its head.
pub(crate) fn framed(message: &impl Message) -> Vec<u8> {
    let length = message.encoded_len();
    let mut frame = Vec::with_capacity(HEAD + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    frame.extend(message.encode_to_vec());
    frame
}
