//! Who leads: contenders and detectors
