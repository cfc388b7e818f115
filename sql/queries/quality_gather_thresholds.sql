-- The thresholds of each instrument of a look, and the times that are looked at.
insert into quality_thresholds (
    instrument, number, from_time, to_time, frozen_seconds, late_seconds, clock_skew_seconds, outside_quote_bps, return_z
)
select
    t.instrument,
    row_number() over (order by t.instrument) as number,
    t.from_time,
    t.to_time,
    t.frozen_seconds,
    t.late_seconds,
    t.clock_skew_seconds,
    t.outside_quote_bps,
    t.return_z
from jsonb_to_recordset(%(thresholds)s) as t (
    instrument text, from_time timestamptz, to_time timestamptz, frozen_seconds double precision, late_seconds double precision,
    clock_skew_seconds double precision, outside_quote_bps double precision, return_z double precision
);
