//! `Series` into `Forecast`s: the glue between the values and `plimsoll_models::forecast`.
