//! Which members of a JSON document are read, as the dotted paths of the time, the value and the key say.

use super::{Found, Scalar};
use crate::decode::select::{Path, Step};

/// The fields that are read.
#[derive(Debug, Clone)]
pub(crate) struct Fields {
    members: Members,
    value_name: String,
}

/// The members of an object that paths lead to.
#[derive(Debug, Clone, Default)]
pub(super) struct Members(Vec<Member>);

#[derive(Debug, Clone)]
struct Member {
    name: String,
    /// The name as messages have it, with the quote behind it; empty for one that they can only write with escapes.
    quoted: Vec<u8>,
    /// The first bytes of that, as a word of which only the bits of the mask are compared.
    head: u64,
    head_mask: u64,
    role: Role,
}

/// What the value of a member is.
#[derive(Debug, Clone)]
pub(super) enum Role {
    /// What these fields hold.
    Held(Vec<Field>),
    /// An object in which paths lead further.
    Passed(Members),
}

/// A field of a reading.
#[derive(Debug, Clone, Copy)]
pub(super) enum Field {
    Time,
    Value,
    Key,
}

impl Fields {
    /// Paths of the value and, where they are fields, of the time and the key.
    pub(crate) fn new(time: Option<&Path>, value: &Path, key: Option<&Path>) -> Self {
        let mut members = Members::default();
        let paths = [
            (Field::Time, time),
            (Field::Value, Some(value)),
            (Field::Key, key),
        ];
        for (field, path) in paths {
            members.lead_to(field, path.map(Path::steps).unwrap_or_default());
        }
        Fields {
            members,
            value_name: value.as_str().to_owned(),
        }
    }

    /// The value's path.
    pub(crate) fn value_name(&self) -> &str {
        &self.value_name
    }

    /// The members of the document itself.
    pub(super) fn members(&self) -> &Members {
        &self.members
    }
}

impl Members {
    fn lead_to(&mut self, field: Field, steps: &[Step]) {
        let Some((step, further)) = steps.split_first() else {
            return;
        };
        let known = self.0.iter().position(|member| member.name == step.name);
        let place = known.unwrap_or_else(|| {
            self.0.push(Member::new(&step.name));
            self.0.len() - 1
        });
        match (&mut self.0[place].role, further) {
            (Role::Held(fields), []) => fields.push(field),
            (role, []) => *role = Role::Held(vec![field]),
            (Role::Passed(below), further) => below.lead_to(field, further),
            // What a field holds is not looked into: there is no such field.
            (Role::Held(_), _) => {}
        }
    }

    /// What the member of this name is; `None` for one that nobody reads.
    #[inline(always)]
    pub(super) fn find(&self, name: &[u8]) -> Option<&Role> {
        let found = self.0.iter().find(|member| member.name.as_bytes() == name);
        found.map(|member| &member.role)
    }

    /// The same for the name that these bytes begin with, and what is behind its quote; `None` also where it takes more than
    /// a look at a word to know.
    #[inline(always)]
    pub(super) fn find_quoted<'b>(&self, bytes: &'b [u8]) -> Option<(&Role, &'b [u8])> {
        let word = u64::from_le_bytes(*bytes.first_chunk()?);
        let member = self.0.iter().find(|member| {
            word & member.head_mask == member.head
                && (member.quoted.len() <= size_of::<u64>() || bytes.starts_with(&member.quoted))
        })?;
        Some((&member.role, &bytes[member.quoted.len()..]))
    }

    /// Forgets what was found below an object of the same name before.
    #[inline(never)]
    pub(super) fn forget(&self, found: &mut Found<'_>) {
        for member in &self.0 {
            match &member.role {
                Role::Held(fields) => fields.iter().for_each(|field| *field.slot(found) = None),
                Role::Passed(below) => below.forget(found),
            }
        }
    }
}

impl Member {
    fn new(name: &str) -> Self {
        let is_plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
        let quoted = match name.bytes().all(is_plain) {
            true => [name.as_bytes(), b"\""].concat(),
            false => Vec::new(),
        };
        let (mut head, mut head_mask) = ([0; size_of::<u64>()], [0; size_of::<u64>()]);
        for (place, byte) in quoted.iter().enumerate().take(head.len()) {
            head[place] = *byte;
            head_mask[place] = 0xff;
        }
        if quoted.is_empty() {
            // No word has a bit that is not in the mask: it is never found so.
            head[0] = 1;
        }
        Member {
            name: name.to_owned(),
            quoted,
            head: u64::from_le_bytes(head),
            head_mask: u64::from_le_bytes(head_mask),
            role: Role::Passed(Members::default()),
        }
    }
}

/// Keeps a value for the fields that hold it.
#[inline(always)]
pub(super) fn keep<'a>(fields: &[Field], scalar: Scalar<'a>, found: &mut Found<'a>) {
    let Some((last, others)) = fields.split_last() else {
        return;
    };
    for field in others {
        *field.slot(found) = Some(scalar.clone());
    }
    *last.slot(found) = Some(scalar);
}

impl Field {
    #[inline]
    fn slot<'f, 'a>(self, found: &'f mut Found<'a>) -> &'f mut Option<Scalar<'a>> {
        match self {
            Field::Time => &mut found.time,
            Field::Value => &mut found.value,
            Field::Key => &mut found.key,
        }
    }
}
