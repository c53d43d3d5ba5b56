//! Protobuf's encoding by its specification: fields are written and read, whatever they mean.

use super::binary::{read_varint, varint};

/// What is wrong with the bytes does not matter.
pub struct Fault;

/// A field as it is written, by its wire type.
pub fn tagged(number: u64, wire: u64, contents: &[u8]) -> Vec<u8> {
    [varint(number << 3 | wire), contents.to_vec()].concat()
}

/// A field that has a length.
pub fn delimited(number: u64, contents: &[u8]) -> Vec<u8> {
    tagged(
        number,
        2,
        &[varint(contents.len() as u64), contents.to_vec()].concat(),
    )
}

/// What a field holds, by its wire type.
pub enum Field<'a> {
    Varint(u64),
    Eight([u8; 8]),
    Bytes(&'a [u8]),
    Four,
}

impl<'a> Field<'a> {
    /// A field that must be of this kind.
    pub fn varint(&self) -> Result<u64, Fault> {
        match self {
            Field::Varint(number) => Ok(*number),
            _ => Err(Fault),
        }
    }

    pub fn eight(&self) -> Result<[u8; 8], Fault> {
        match self {
            Field::Eight(bytes) => Ok(*bytes),
            _ => Err(Fault),
        }
    }

    pub fn bytes(&self) -> Result<&'a [u8], Fault> {
        match self {
            Field::Bytes(bytes) => Ok(bytes),
            _ => Err(Fault),
        }
    }
}

/// The fields of a message. There are no groups, and numbers have 29 bits.
pub fn fields(mut bytes: &[u8]) -> Result<Vec<(u64, Field<'_>)>, Fault> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (key, left) = read_varint(bytes).ok_or(Fault)?;
        let number = key >> 3;
        if !(1..1 << 29).contains(&number) {
            return Err(Fault);
        }
        let (field, left) = match key & 7 {
            0 => {
                let (number, left) = read_varint(left).ok_or(Fault)?;
                (Field::Varint(number), left)
            }
            1 => {
                let (eight, left) = left.split_first_chunk().ok_or(Fault)?;
                (Field::Eight(*eight), left)
            }
            2 => {
                let (length, left) = read_varint(left).ok_or(Fault)?;
                let length = usize::try_from(length).map_err(|_| Fault)?;
                let (contents, left) = left.split_at_checked(length).ok_or(Fault)?;
                (Field::Bytes(contents), left)
            }
            5 => (Field::Four, left.get(4..).ok_or(Fault)?),
            _ => return Err(Fault),
        };
        found.push((number, field));
        bytes = left;
    }
    Ok(found)
}
