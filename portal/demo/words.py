"""Names for what does not exist."""

GIVEN = (
    "Ada", "Bogdan", "Chiara", "Dmitri", "Elena", "Femi", "Grace", "Hiroshi", "Ines", "Jonas",
    "Kavita", "Lise", "Marco", "Noor", "Oskar", "Priya", "Quentin", "Rosa", "Sven", "Tove",
)  # fmt: skip
FAMILY = (
    "Almeida", "Brandt", "Costa", "Dubois", "Eriksen", "Fischer", "Garnier", "Haddad", "Ito",
    "Jansen", "Kowalski", "Lindgren", "Moreau", "Novak", "Okafor", "Petrov", "Rossi", "Sato",
)  # fmt: skip
PURPOSES = (
    "web", "notebook", "blast-node", "slurm-worker", "root-analysis", "gitlab-runner", "db",
    "genome assembly", "mesh generator", "course", "build", "crawler", "météo", "анализ", "解析",
    "gateway", "test", "thesis", "climate run", "viewer",
)  # fmt: skip
#: Systems with their versions, the most frequent ones first.
SYSTEMS = (
    ("Debian", ("12", "13", "11", "10")),
    ("Ubuntu", ("24.04", "22.04", "20.04", "18.04", "26.04")),
    ("AlmaLinux", ("9.4", "8.10", "10.0")),
    ("Rocky", ("9.4", "8.10")),
    ("CentOS", ("7.9", "6.10", "5.11")),
    ("Fedora", ("41", "42", "40", "39")),
    ("Scientific Linux", ("7.9", "6.4")),
    ("openSUSE", ("15.6", "15.5", "Tumbleweed")),
    ("Alpine", ("3.20", "3.19", "3.18")),
    ("ttylinux", ("14.0", "9.7")),
    ("Arch Linux", ("rolling",)),
    ("FreeBSD", ("14.1", "13.3")),
    ("Gentoo", ("rolling",)),
    ("NixOS", ("24.05",)),
    ("CernVM", ("5.0", "4.7")),
    ("Oracle Linux", ("9.4", "8.10")),
    ("OpenBSD", ("7.5",)),
    ("SLES", ("15.5",)),
)
#: What is on them, and why one would want it.
SOFTWARE = (
    ("base system", "Nothing but what is needed to sign in and to install more."),
    ("ROOT and Geant4", "For fits and simulations in particle physics."),
    ("JupyterLab", "Notebooks for Python, with NumPy, SciPy and pandas."),
    ("a Slurm head node", "Queues for batch work on several machines."),
    ("BLAST and HMMER", "Search protein and nucleotide sequences."),
    ("GROMACS", "Molecular dynamics of proteins, lipids and nucleic acids."),
    ("PostgreSQL", "A relational database with PostGIS for maps."),
    ("a desktop", "A graphical workplace, reached over the network."),
    ("R and Bioconductor", "Statistics for genomics, with RStudio Server."),
    ("OpenFOAM", "Computational fluid dynamics, with ParaView."),
    ("a Ganga client", "Send and follow jobs on the grid."),
    ("PROOF on demand", "Parallel analysis of large sets of events."),
    ("Hadoop", "Distributed storage and MapReduce for a small cluster."),
    ("a CernVM contextualizer", "Software of the experiments from CernVM-FS."),
    ("TensorFlow", "Train and use neural networks on processors."),
    ("PyTorch", "Deep learning, with Lightning and torchvision."),
    ("Nextflow", "Pipelines that run the same anywhere."),
    ("Galaxy", "A web portal for analyses in the life sciences."),
    ("Docker", "Containers, with Compose."),
    ("Kubernetes", "A cluster of one node, to try things out."),
    ("Octave", "Numerical computing, much like Matlab."),
    ("QGIS", "Geographic information, with GRASS and GDAL."),
    ("MPICH", "Message passing for parallel programs, compilers included."),
    ("Apache Spark", "Analysis of large data in memory."),
    ("Quantum ESPRESSO", "Electronic structure from first principles."),
    ("WRF", "Weather research and forecasting, pre-processing included."),
)
FLAVOURS = ("minimal", "standard", "with cloud-init", "for courses", "hardened", "with compilers")
REMARKS = (
    "Updated every month.", "Only keys, no passwords.", "The first boot takes a minute longer.",
    "The firewall lets SSH in and nothing else.", "Time is kept by chrony.",
    "Built with Packer from the distribution's own installer.",
    "A swap disk is used if there is one.", "For questions write to the endorser.",
    "Tested with two processors and four gigabytes.",
)  # fmt: skip
DATA = (
    ("UniProt", "Protein sequences and what is known of them, as BLAST databases."),
    ("Human genome GRCh38", "The reference assembly with indexes for BWA and Bowtie."),
    ("Protein Data Bank", "Structures of proteins and nucleic acids."),
    ("Sentinel-2 tiles", "Satellite images of western Europe, cloud-free composites."),
    ("ERA5 reanalysis", "Hourly fields of temperature, pressure and wind."),
    ("Gaia catalogue", "Positions and motions of stars."),
    ("ImageNet subset", "Labelled pictures for training."),
    ("Common Crawl sample", "Web pages, as WARC files."),
)
ARCHITECTURES = ("x86_64", "aarch64", "i686", "ppc64le", "riscv64")
INSTITUTES = (
    "physics", "biology", "observatory", "mines", "geo", "chem", "library", "it",
)  # fmt: skip
MESSAGES = (
    "PhD student in the particle group; I want to run fits that do not fit on my laptop.",
    "Course on bioinformatics in spring, about 20 students.",
    "I need a Windows-free place for our instrument's control software, three machines at most.",
    "Postdoc, climate group. Ensemble runs and notebooks; my head of group knows of it.",
    "Short test of an image for the Marketplace.",
    "",
    "Je prépare un atelier pour septembre ; merci de valider mon compte avant le 1er.",
)
WISHES = (
    "The course has more students than last year, from Monday on for four weeks.",
    "Our analysis needs eight workers side by side; until the end of the month.",
    "Two more machines for a demonstration at the collaboration meeting.",
)
