-- Bars of some days that differ from the venue's without an explanation.
select count(*) as unexplained
from bar_conformance as b
where b.status = 'unexplained' and b.bar_start >= %(from_time)s and b.bar_start < %(to_time)s;
