-- The gaps of an instrument and stream that are not healed and begin in a window.
select
    g.gap_id, g.kind, g.evidence ->> 'by' as by, g.from_time, g.to_time, g.first_missing, g.last_missing
from gaps as g
where
    g.instrument = %(instrument)s and g.stream = %(stream)s and g.state <> 'healed'
    and g.from_time >= %(since)s and g.from_time < %(until)s;
