"""Make the three sample tables beside this script. Run by hand, once, from anywhere:

    pip install polars bokeh-sampledata==2026.1 simglucose==0.2.11 "setuptools<81"
    python sample_data/make.py

`setuptools` is there because simglucose still reads its own files through `pkg_resources`.
Nothing is downloaded beyond the packages: the stocks and the real glucose lie inside
bokeh-sampledata, and the virtual patients are simulated here from fixed seeds, so two runs give
the same tables. Polars 2 and Python 3.11 were used; the run takes a few minutes, nearly all of
it the simulation.

The data sheets (`stocks_daily.md`, `glucose_real.md`, `glucose_simulated.md`) say what the
tables hold and where they can mislead.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import polars as pl
from bokeh_sampledata import package_path
from simglucose.actuator.pump import InsulinPump
from simglucose.controller.basal_bolus_ctrller import BBController
from simglucose.patient.t1dpatient import T1DPatient
from simglucose.sensor.cgm import CGMSensor
from simglucose.simulation.env import T1DSimEnv
from simglucose.simulation.scenario_gen import RandomScenario

HERE = Path(__file__).parent

# Chosen by hand from simglucose's thirty: two of each age group whose glucose swings with their
# meals and yet never falls below 45 mg/dL. Some of the others fall to values nobody would survive.
PATIENTS = (
    "adolescent#003",
    "adolescent#008",
    "adult#001",
    "adult#010",
    "child#009",
    "child#010",
)
STEP = timedelta(minutes=5)
START = datetime(2024, 1, 1)
STEPS = 14 * 24 * 12


def stocks_daily() -> pl.DataFrame:
    """Daily prices of five shares, `adj_close` first because only it is free of split jumps."""
    return (
        pl.read_csv(package_path("stocks.csv.gz"), try_parse_dates=True)
        .select(
            symbol="Ticker",
            date="Date",
            adj_close="Adj Close",
            open="Open",
            high="High",
            low="Low",
            close="Close",
            volume="Volume",
        )
        .sort("symbol", "date")
    )


def glucose_real() -> pl.DataFrame:
    """One donor's sensor readings, each moved to the nearest 5-minute mark; gaps stay gaps."""
    readings = pl.read_csv(
        package_path("CGM.csv.gz"),
        null_values="nil",  # how the export writes a sensor current it did not record
        schema_overrides={"isig": pl.Float64},
    ).with_columns(pl.col("datetime").str.to_datetime(time_unit="us"))
    return (
        readings.sort("datetime", maintain_order=True)
        .select(
            donor=pl.lit("donor_1"),
            time=pl.col("datetime").dt.round("5m"),
            glucose_mg_dl="glucose",
            isig_na="isig",
        )
        # Two readings in one slot: the later one stands, as it would have on the display.
        .unique("time", keep="last", maintain_order=True)
    )


class HalfPortions(RandomScenario):
    """Random meals at half size, for children.

    The generator serves them what it serves an adult, some 200 g of carbohydrate a day, and the
    insulin that goes with it drives most of them far too low.
    """

    def create_scenario(self) -> dict:
        scenario = super().create_scenario()
        scenario["meal"]["amount"] = [round(grams / 2) for grams in scenario["meal"]["amount"]]
        return scenario


def simulated_patient(name: str, seed: int) -> pl.DataFrame:
    """Two weeks of one virtual patient; every row describes the five minutes that END at `time`.

    simglucose's own `show_history` puts the meal of the NEXT five minutes beside each reading.
    A forecaster given that table would see meals before they are eaten, so the rows are
    gathered here step by step instead.
    """
    # The body's equations look up some sixty parameters at every call; a plain namespace
    # answers several times faster than the pandas row that holds them, with the same values.
    row = T1DPatient.withName(name)._params
    patient = T1DPatient(SimpleNamespace(**row), init_state=row.iloc[2:15].to_numpy(float))
    meals = HalfPortions if name.startswith("child") else RandomScenario
    env = T1DSimEnv(
        patient,
        CGMSensor.withName("GuardianRT", seed=1000 + seed),  # its sample time is 5 minutes
        InsulinPump.withName("Insulet"),
        meals(start_time=START - STEP, seed=seed),
    )
    controller = BBController()
    state = env.reset()
    rows = []
    for _ in range(STEPS):
        action = controller.policy(state.observation, state.reward, state.done, **state.info)
        state = env.step(action)
        rows.append(
            {
                "patient": name,
                "time": state.info["time"],
                "cgm_mg_dl": round(float(state.observation.CGM), 1),
                "carbs_g_per_min": round(float(state.info["meal"]), 1),
                "insulin_u_per_min": round(float(env.insulin_hist[-1]), 5),
                "true_bg_mg_dl": round(float(state.info["bg"]), 1),
            }
        )
    return pl.DataFrame(rows, schema_overrides={"time": pl.Datetime("us")})


def glucose_simulated() -> pl.DataFrame:
    """All virtual patients, one seed each."""
    return pl.concat(simulated_patient(name, seed) for seed, name in enumerate(PATIENTS, 1))


def main() -> None:
    """Write the three tables and say what was written."""
    for make in (stocks_daily, glucose_real, glucose_simulated):
        path = HERE / f"{make.__name__}.parquet"
        table = make()
        table.write_parquet(path, compression="zstd", compression_level=22)
        print(f"{path.name}: {table.height:,} rows, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
