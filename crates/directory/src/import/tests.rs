//! Importers on good files, bad lines and noise.
