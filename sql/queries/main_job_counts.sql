-- What stands in the tables of some days: by table, and by interval and verdict where there are such.
select 'raw_trades' as relation, null as bar_interval, null as verdict, count(*) as found
from raw_trades as t
where t.event_time >= %(from_time)s and t.event_time < %(to_time)s
union all
select 'venue_bars', null, null, count(*) from venue_bars as v where v.bar_start >= %(from_time)s and v.bar_start < %(to_time)s
union all
select 'bars_1m', '1m', null, count(*) from bars_1m as b where b.bar_start >= %(from_time)s and b.bar_start < %(to_time)s
union all
select 'bars_5m', '5m', null, count(*) from bars_5m as b where b.bar_start >= %(from_time)s and b.bar_start < %(to_time)s
union all
select 'bars_1h', '1h', null, count(*) from bars_1h as b where b.bar_start >= %(from_time)s and b.bar_start < %(to_time)s
union all
select 'bars_1d', '1d', null, count(*) from bars_1d as b where b.bar_start >= %(from_time)s and b.bar_start < %(to_time)s
union all
select 'bars_tick', null, null, count(*) from bars_tick as b where b.bar_start >= %(from_time)s and b.bar_start < %(to_time)s
union all
select 'bars_volume', null, null, count(*) from bars_volume as b where b.bar_start >= %(from_time)s and b.bar_start < %(to_time)s
union all
select 'bars_dollar', null, null, count(*) from bars_dollar as b where b.bar_start >= %(from_time)s and b.bar_start < %(to_time)s
union all
select 'bar_conformance', c.interval, c.status, count(*)
from bar_conformance as c
where c.bar_start >= %(from_time)s and c.bar_start < %(to_time)s
group by c.interval, c.status;
