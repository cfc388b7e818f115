-- The coverage of some instruments on some days of one stream.
select
    c.instrument, c.day, c.space, c.row_count, c.first_time, c.last_time, c.first_sequence, c.last_sequence,
    c.is_declared, c.covered, c.missing_ids, c.is_dropped
from coverage as c
where c.stream = %(stream)s and c.instrument = any(%(instruments)s) and c.day = any(%(days)s);
