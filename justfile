# What one needs day to day; `just` lists it.

default:
    @just --list

# Install for development, with the test tools
setup:
    pip install -e '.[test]'

# Everything that must pass before a change lands
check:
    ruff check .
    ruff format --check .
    mypy
    pytest

# Speed, as ratios within one run
bench:
    python benchmarks/run.py
    python benchmarks/data.py
    python benchmarks/rawboost.py
    python benchmarks/loader.py --layers 2
    python benchmarks/w2v2_aasist.py

# Train the embedded model anew and measure it; DATA is a folder with an items.csv
release DATA:
    python release/train.py {{DATA}} runs/release
    python release/measure.py {{DATA}} runs/release
    python release/conditions.py {{DATA}} runs/release
    python release/card.py runs/release

# The wheel, embedded weights included
wheel:
    pip wheel --no-deps -w dist .
