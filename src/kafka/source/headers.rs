//! Copies the headers of a message, up to a limit.
//!
//! [`Message::headers`](rdkafka::Message::headers) panics at a name that is not UTF-8, so a single message
//! could stop every consumer of its topic.

use std::ffi::CStr;

use rdkafka::bindings as native;
use rdkafka::message::BorrowedMessage;

use crate::reading::{Headers, RecordHeaders};

/// Overhead of one header in bytes, so that thousands of tiny headers count too.
const HEADER_BYTES: usize = 32;

/// Copies the first headers of a message, up to `max_bytes`. A name that is not UTF-8 is converted lossily.
/// `None` if there are no headers.
pub(super) fn copy(message: &BorrowedMessage<'_>, max_bytes: usize) -> Option<RecordHeaders> {
    let mut list = std::ptr::null_mut();
    // SAFETY: the borrow keeps the message alive, and librdkafka keeps the list with the message. The list is
    // not kept beyond this function.
    let found = unsafe { native::rd_kafka_message_headers(message.ptr(), &mut list) };
    if found != native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        return None;
    }
    let mut headers = RecordHeaders::default();
    let mut room = max_bytes;
    let mut is_full = false;
    for index in 0.. {
        let Some((name, value)) = header(message, list, index) else {
            break;
        };
        let size = name.len() + value.map_or(0, <[u8]>::len);
        is_full |= size + HEADER_BYTES > room;
        if is_full {
            headers.cut_bytes += size;
        } else {
            room -= size + HEADER_BYTES;
            push(&mut headers.kept, name, value);
        }
    }
    Some(headers)
}

fn push(kept: &mut Headers, name: &[u8], value: Option<&[u8]>) {
    let name = String::from_utf8_lossy(name).into_owned();
    kept.push((name, value.map(<[u8]>::to_vec)));
}

/// Name and value of a header; `None` after the last one.
fn header<'m>(
    _owner: &'m BorrowedMessage<'_>,
    list: *const native::rd_kafka_headers_t,
    index: usize,
) -> Option<(&'m [u8], Option<&'m [u8]>)> {
    let (mut name, mut value, mut size) = (std::ptr::null(), std::ptr::null(), 0);
    // SAFETY: the list belongs to its owner, which the result borrows. librdkafka checks the index, and
    // without an error it has set all three: a name that ends in NUL, and a value of that size, or none.
    unsafe {
        let found = native::rd_kafka_header_get_all(list, index, &mut name, &mut value, &mut size);
        if found != native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return None;
        }
        let name = CStr::from_ptr(name).to_bytes();
        let value = (!value.is_null()).then(|| std::slice::from_raw_parts(value.cast::<u8>(), size));
        Some((name, value))
    }
}
