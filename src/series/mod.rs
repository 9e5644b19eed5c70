//! `Samples` into `Series`: alignment, counter resets, gaps, pod churn; and the five models over them.
