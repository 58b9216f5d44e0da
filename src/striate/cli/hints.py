"""Hints for options that do not exist: other programs' names for ours."""

from __future__ import annotations

_OPTIONS = {
    "--lr": "learning-rate learningrate lr0 eta base-lr max-lr",
    "--batch-size": "bs batch batchsize b mini-batch-size train-batch-size",
    "--epochs": "num-epochs n-epochs nepochs max-epochs epoch iterations steps max-steps num-steps e",
    "--optimizer": "opt optim optimiser",
    "--weight-decay": "wd weightdecay l2 decay",
    "--size": "image-size img-size imgsz input-size img resolution resize crop-size image-height image-width",
    "--seed": "random-seed random-state manual-seed",
    "--device": "gpu gpus cuda cpu accelerator gpu-id devices use-cuda no-cuda",
    "--workers": "num-workers threads j num-threads loader-threads dataloader-workers",
    "--precision": "amp fp16 bf16 half mixed-precision dtype",
    "--model": "arch architecture network net backbone m",
    "--weights": "pretrained pretrain pretrained-weights checkpoint init-weights",
    "--transfer": "finetune fine-tune fine-tuning transfer-learning freeze",
    "--folds": "k-folds kfold cv cross-validation",
    "--runs": "output out-dir output-dir save-dir log-dir logdir project",
    "--name": "run-name experiment exp",
}
_SETTINGS = {
    "optimizer.momentum": "momentum beta1",
    "optimizer.nesterov": "nesterov",
    "optimizer.betas": "betas beta adam-betas",
    "optimizer.epsilon": "eps epsilon adam-epsilon",
    "optimizer.l1": "l1",
    "optimizer.clip_norm": "clip clip-norm clip-grad grad-clip gradient-clip max-grad-norm gradient-clip-val",
    "schedule.name": "schedule scheduler lr-scheduler lr-schedule sched lr-policy",
    "schedule.warmup_fraction": "warmup warmup-epochs warmup-share warm-up lr-warmup warmup-ratio",
    "schedule.every_epochs": "step-size lr-step-size decay-epochs",
    "schedule.at_epochs": "milestones lr-milestones lr-steps",
    "schedule.growth": "t-mult",
    "schedule.first_epochs": "t-0 t0",
    "schedule.factor": "gamma lr-gamma decay-rate lr-decay",
    "loss.name": "loss criterion",
    "loss.teacher": "teacher distill distillation kd",
    "loss.label_smoothing": "label-smoothing smoothing",
    "sampling.name": "sampling sampler balanced weighted-sampler oversampling class-aware",
    "augmentation.flip": "flip hflip fliplr horizontal-flip mirror mirroring no-flip",
    "augmentation.rotation": "rotation rotate degrees rotation-degrees",
    "augmentation.shift": "shift translate",
    "augmentation.scale": "scale zoom",
    "augmentation.brightness": "brightness",
    "augmentation.contrast": "contrast color-jitter jitter",
    "augmentation.cutout": "cutout",
    "augmentation.erasing": "random-erasing erasing reprob",
    "augmentation.random_resized_crop": "random-resized-crop rrc",
    "augmentation.shear": "shear",
    "augmentation.perspective": "perspective",
    "augmentation.exposure": "exposure gamma-correction",
    "augmentation.saturation": "saturation",
    "augmentation.hue": "hue",
    "augmentation.colour_cast": "colour-cast color-cast lighting pca-lighting",
    "augmentation.grey": "grey gray grayscale greyscale",
    "augmentation.blur": "blur gaussian-blur",
    "augmentation.noise": "noise",
    "augmentation.mixup": "mixup mixup-alpha",
    "augmentation.cutmix": "cutmix cutmix-alpha",
    "stop.patience": "patience early-stopping early-stop",
    "stop.metric": "metric monitor eval-metric",
    "stop.keep": "keep save-best best",
    "input.crop": "crop crop-pct center-crop",
    "input.resize": "resize-mode",
    "evaluate_every": "eval-every eval-interval val-interval evaluate-every",
    "unreadable": "unreadable",
    "in_memory": "cache in-memory",
}

_MEANT = {
    word: (f"Use {option}." if option.startswith("--") else f"It is a setting: --set {option}=…")
    for group in (_OPTIONS, _SETTINGS)
    for option, words in group.items()
    for word in words.split()
}


def meant(option: str) -> str | None:
    """Return what to type instead of an option that `train` does not have; None where that is not known.

    >>> meant("--learning-rate")
    'Use --lr.'
    """
    word = option.partition("=")[0].lstrip("-").replace("_", "-").lower()
    return _MEANT.get(word) or _setting(word)


def _setting(word: str) -> str | None:
    """Return the hint for a setting of the recipe by the end of its name, as in --start-factor."""
    from striate.core.settings_types import setting_keys
    from striate.runs.recipe import Recipe

    found = (name for name in setting_keys(Recipe) if name.rpartition(".")[2].replace("_", "-") == word)
    return next((f"It is a setting: --set {name}=…" for name in found), None)
