-- What the ledger says is in the database of a stream's day, in the order of the index: where to part it, and how much of it there is.
select
    c.instrument,
    c.space,
    c.first_sequence,
    c.last_sequence,
    c.row_count
from coverage as c
where
    c.stream = %(stream)s and c.day = %(day)s and c.row_count > 0 and not c.is_dropped
    and c.space is not null and c.first_sequence is not null and c.last_sequence is not null
order by c.instrument, c.space;
