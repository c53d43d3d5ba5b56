//! `streamgauge query`.
