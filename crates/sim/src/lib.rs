//! Whole stores on one thread from one seed, with a disk that fails
