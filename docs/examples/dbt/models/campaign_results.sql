-- The newest figures of each campaign, as numbers.
select
    campaign_id,
    name,
    snapshot_date::date as snapshot_date,
    clicked::bigint as clicked,
    conversions::bigint as conversions,
    revenue_minor::bigint as revenue_minor,
    currency
from {{ source('campaign_files', 'campaigns') }}
qualify row_number() over (partition by campaign_id order by snapshot_date desc) = 1
