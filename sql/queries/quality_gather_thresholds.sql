-- The thresholds of each instrument of a look.
insert into quality_thresholds (
    instrument, frozen_seconds, late_seconds, clock_skew_seconds, outside_quote_bps, return_z
)
select
    t.instrument,
    t.frozen_seconds,
    t.late_seconds,
    t.clock_skew_seconds,
    t.outside_quote_bps,
    t.return_z
from jsonb_to_recordset(%(thresholds)s) as t (
    instrument text, frozen_seconds double precision, late_seconds double precision, clock_skew_seconds double precision,
    outside_quote_bps double precision, return_z double precision
);
