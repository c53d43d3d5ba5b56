//! The playback room.
