//! Trying detectors on history: a recording → verdicts → a summary, NAB's scores, and a report.
//!
//! Pure: it is given readings and settings and returns values and texts. Absent from this room: files, printing.

pub mod nab;
