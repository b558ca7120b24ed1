//! The engines that do the work of one mount each; none knows of another, nor of where it is mounted.

pub mod transit;
