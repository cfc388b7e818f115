-- Every instrument that is known now, or of which a day was judged.
select i.instrument from instruments as i
where i.valid_to is null and (%(instruments)s::text[] is null or i.instrument = any(%(instruments)s))
union
select d.instrument from quality_days as d
where
    d.day >= %(from_day)s and d.day < %(until_day)s
    and (%(instruments)s::text[] is null or d.instrument = any(%(instruments)s))
order by instrument;
