//! Whole sessions: synthetic media in, files out, read by other people's demuxers and decoders.

mod crash;
mod media;
mod record;
