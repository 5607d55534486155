//! A few lines around `std::sync::Mutex`: a lock whose holder panicked is taken all the same.
//!
//! What a panic leaves half done is dealt with where the panic is caught (the store is poisoned),
//! not by every later lock.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

pub(crate) fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The lock, if it is free.
pub(crate) fn try_locked<T: ?Sized>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(error)) => Some(error.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
