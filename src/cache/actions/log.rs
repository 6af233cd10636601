//! The bytes of the action log.
//!
//! ```text
//! actions.log = record…
//! record      = length u32 | check u64 | key 32 bytes | outcome, JSON [ | space | microseconds it took ]
//! ```
//!
//! Numbers are little-endian. The length counts key and outcome, the check is over both. Where a record's check does not fit, the
//! next one that does is looked for, so that a flipped bit costs one record.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
};

use crate::{cache::checksum, key::ActionKey};

const HEAD: usize = 12;
const KEY: usize = 32;

/// What stands before the outcome in a record.
pub(super) const BEFORE_OUTCOME: usize = HEAD + KEY;

/// No outcome is longer: where a length says so, it is damaged.
const LONGEST: usize = 64 << 20;

/// How much is read at a time.
const CHUNK: usize = 1 << 20;

/// One whole record.
pub(super) struct Record<'a> {
    pub(super) key: ActionKey,
    /// Where its outcome begins in the file.
    pub(super) outcome_at: u64,
    pub(super) outcome: &'a [u8],
}

/// What a scan found besides whole records.
pub(super) struct Scanned {
    /// Where the last whole record ends.
    pub(super) end: u64,
    /// What is no record, before that.
    pub(super) damaged: Vec<Range<u64>>,
}

/// The bytes of a record.
pub(super) fn record(key: &ActionKey, outcome: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(BEFORE_OUTCOME + outcome.len());
    record.extend(((KEY + outcome.len()) as u32).to_le_bytes());
    record.extend([0; 8]);
    record.extend(key.as_bytes());
    record.extend(outcome);
    let check = checksum(&record[HEAD..]);
    record[4..HEAD].copy_from_slice(&check);
    record
}

/// Shows every whole record in the file's order.
pub(super) fn scan(file: &mut File, mut whole: impl FnMut(&Record<'_>)) -> io::Result<Scanned> {
    file.seek(SeekFrom::Start(0))?;
    let mut window = Window { file, bytes: Vec::new(), start: 0, ended: false };
    let mut scanned = Scanned { end: 0, damaged: Vec::new() };
    let mut at = 0;
    loop {
        if let Some(length) = window.record_at(at)? {
            let content = window.slice(at + HEAD as u64, length);
            if at > scanned.end {
                scanned.damaged.push(scanned.end..at);
            }
            whole(&Record {
                key: ActionKey::from_bytes(*content.first_chunk().expect("a record has a key")),
                outcome_at: at + BEFORE_OUTCOME as u64,
                outcome: &content[KEY..],
            });
            at += (HEAD + length) as u64;
            scanned.end = at;
            window.forget_before(at);
        } else if window.has(at, BEFORE_OUTCOME)? {
            at += 1;
            window.forget_before(at);
        } else {
            return Ok(scanned);
        }
    }
}

/// The part of the file that is in memory.
struct Window<'a> {
    file: &'a mut File,
    bytes: Vec<u8>,
    start: u64,
    ended: bool,
}

impl Window<'_> {
    /// The length of the record at `at`, if there is a whole one.
    fn record_at(&mut self, at: u64) -> io::Result<Option<usize>> {
        if !self.has(at, BEFORE_OUTCOME)? {
            return Ok(None);
        }
        let head = self.slice(at, HEAD);
        let length = u32::from_le_bytes(*head.first_chunk().expect("the head has 12 bytes")) as usize;
        let check = *head.last_chunk::<8>().expect("the head has 12 bytes");
        // An outcome is a JSON object, with or without a number after it: looked at first, because it costs nothing.
        if !(KEY + 2..=LONGEST).contains(&length) || self.slice(at, BEFORE_OUTCOME + 1).last() != Some(&b'{') {
            return Ok(None);
        }
        if !self.has(at, HEAD + length)? {
            return Ok(None);
        }
        let content = self.slice(at + HEAD as u64, length);
        let ends_well = content.last().is_some_and(|last| *last == b'}' || last.is_ascii_digit());
        Ok((ends_well && checksum(content) == check).then_some(length))
    }

    /// Whether the file has `length` bytes at `at`, which are in memory then.
    fn has(&mut self, at: u64, length: usize) -> io::Result<bool> {
        // One more than asked for, so that the first byte of an outcome can be looked at.
        let wanted = (at - self.start) as usize + length + 1;
        while self.bytes.len() < wanted && !self.ended {
            let more = CHUNK.max(wanted - self.bytes.len()) as u64;
            let read = self.file.by_ref().take(more).read_to_end(&mut self.bytes)?;
            self.ended = read == 0;
        }
        Ok(self.bytes.len() + 1 >= wanted)
    }

    fn slice(&self, at: u64, length: usize) -> &[u8] {
        let start = (at - self.start) as usize;
        &self.bytes[start..self.bytes.len().min(start + length)]
    }

    fn forget_before(&mut self, at: u64) {
        let known = (at - self.start) as usize;
        if known > CHUNK {
            self.bytes.drain(..known);
            self.start = at;
        }
    }
}
