-- How far features of some days lie from their references, of some instruments, or all.
select
    d.day,
    d.instrument,
    d.feature,
    d.reference_id,
    d.row_count,
    d.missing_rate,
    d.reference_days,
    d.reference_missing_rate,
    d.psi,
    d.usual_psi,
    d.out_of_range,
    d.in_tails,
    d.shares
from feature_drift as d
where
    d.day >= %(from_day)s and d.day < %(until_day)s
    and (%(instruments)s::text[] is null or d.instrument = any(%(instruments)s))
order by d.day, d.instrument, d.feature;
