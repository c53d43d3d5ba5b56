//! `streamgauge play`.
