-- What is kept of some references, of some instruments, or all.
select
    b.reference_id,
    b.instrument,
    b.feature,
    b.row_count,
    b.day_count,
    b.missing_rate,
    b.edges,
    b.shares,
    b.minimum,
    b.maximum,
    b.low,
    b.high,
    b.usual_psi
from feature_reference_bins as b
where b.reference_id = any(%(reference_ids)s) and (%(instruments)s::text[] is null or b.instrument = any(%(instruments)s));
