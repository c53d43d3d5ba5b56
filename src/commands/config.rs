//! `streamgauge config`.
