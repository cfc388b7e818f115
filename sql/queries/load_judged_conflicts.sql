-- The rows that conflict, with both sides' values.
select
    j.line, j.instrument, j.event_time, j.sequence, j.verdict, j.first_line, j.copy, j.stored_time, j.stored_batch,
    {told_values}, {kept_values}
from judged as j
where j.verdict in ('conflict', 'group_conflict')
order by j.line;
