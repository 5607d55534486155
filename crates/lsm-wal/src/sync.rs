//! The synchronisation primitives that the commit queue is built on, in one place, so that a model
//! checker's can stand in for them.

pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
