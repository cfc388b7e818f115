-- The rows that conflict, with both sides' values.
select
    j.line, j.instrument, j.event_time, j.sequence, j.verdict, j.price, j.size, j.side, j.first_line, j.copy,
    j.stored_time, j.stored_price, j.stored_size, j.stored_side, j.stored_batch
from judged as j
where j.verdict in ('conflict', 'group_conflict')
order by j.line;
