-- Some ids of a day that are there more than once.
select format('%%s %%s', t.instrument, t.sequence) as example
from {table} as t
where t.event_time >= %(from_time)s and t.event_time < %(to_time)s and t.instrument = any(%(instruments)s)
group by t.instrument, t.space, t.sequence
having count(*) > 1
order by t.instrument, t.sequence
limit 5;
