//! Assigns keys to buckets.

use serde::{Deserialize, Serialize};

/// The hash that spreads keys over buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BucketHash {
    /// As Java's default partitioner.
    Murmur2,
    /// As librdkafka's default partitioner.
    Crc32,
}

impl BucketHash {
    /// The name in settings, and in a table's properties.
    pub fn name(self) -> &'static str {
        match self {
            BucketHash::Murmur2 => "murmur2",
            BucketHash::Crc32 => "crc32",
        }
    }
}

/// A fixed number of buckets, and the hash that assigns keys to them: that of the topic's producers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buckets {
    /// At least 1; fixed for the table's life.
    pub count: u32,
    /// Fixed for the table's life.
    pub hash: BucketHash,
}

impl Buckets {
    /// The bucket of a key, below `count`.
    pub fn of(&self, key: &str) -> u32 {
        if self.count <= 1 {
            return 0;
        }
        let hash = match self.hash {
            // Java's partitioner clears the sign bit rather than taking the absolute value.
            BucketHash::Murmur2 => murmur2(key.as_bytes()) & 0x7fff_ffff,
            BucketHash::Crc32 => crc32fast::hash(key.as_bytes()),
        };
        hash % self.count
    }
}

/// 32-bit MurmurHash2 as in Kafka's Java client (`org.apache.kafka.common.utils.Utils.murmur2`).
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const MIX: u32 = 0x5bd1_e995;
    let mut hash = SEED ^ data.len() as u32;
    let (words, tail) = data.as_chunks::<4>();
    for word in words {
        let mut mixed = u32::from_le_bytes(*word).wrapping_mul(MIX);
        mixed ^= mixed >> 24;
        hash = hash.wrapping_mul(MIX) ^ mixed.wrapping_mul(MIX);
    }
    if !tail.is_empty() {
        for (index, &byte) in tail.iter().enumerate() {
            hash ^= u32::from(byte) << (8 * index);
        }
        hash = hash.wrapping_mul(MIX);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MIX);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn murmur2_as_in_kafkas_own_test() {
        for (key, expected) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()) as i32, expected, "{key}");
        }
    }

    #[test]
    fn one_bucket_holds_everything() {
        assert_eq!(
            Buckets {
                count: 1,
                hash: BucketHash::Crc32
            }
            .of("anything"),
            0
        );
    }
}
