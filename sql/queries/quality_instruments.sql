-- The instruments of which something is held or refused on a day.
select c.instrument from coverage as c where c.day = %(day)s
union
select b.instrument from bars_1m as b where b.bar_start >= %(from_time)s and b.bar_start < %(to_time)s
union
select v.instrument from bar_conformance as v where v.bar_start >= %(from_time)s and v.bar_start < %(to_time)s
order by instrument;
