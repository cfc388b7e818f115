-- The instruments of which rows of a stream were dropped on some days.
select distinct c.instrument
from coverage as c
where c.stream = %(stream)s and c.day >= %(from_day)s and c.day < %(to_day)s and c.is_dropped
order by c.instrument;
