//! The narrow traits between roles and drivers
