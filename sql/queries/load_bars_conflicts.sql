-- The venue bars that conflict, with both sides' values.
select
    j.line,
    j.instrument,
    j.bar_start,
    j.told::text as told,
    coalesce(j.stored_told, j.first_told)::text as stored
from judged_bars as j
where j.verdict = 'conflict'
order by j.line;
