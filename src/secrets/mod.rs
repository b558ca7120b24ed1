//! The engines that do the work of one mount each; none knows of another, nor of where it is mounted.

mod cache;
pub mod cubbyhole;
pub mod kv;
pub mod transit;
